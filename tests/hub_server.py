"""A small Hugging Face Hub on loopback: the parts of its HTTP API that `huggingface_hub` and `datasets` call.

Repositories live in memory. Small files travel in the commit, large ones through the LFS batch API, and downloads of
large files are redirected to a storage URL, as on the real Hub. The Xet protocol is not spoken: clients need
`HF_HUB_DISABLE_XET=1` to upload.
"""

import asyncio
import base64
import hashlib
import json
import re
import socket
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import uvicorn
import yaml
from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse, RedirectResponse

LARGE = (".safetensors", ".bin", ".parquet", ".png", ".zip", ".npz")


class HubError(Exception):
    """An answer other than 200, in the Hub's own form: the client reads the headers, people read the body."""

    def __init__(self, status: int, message: str, code: str | None = None, headers: Mapping[str, str] | None = None):
        self.status = status
        self.message = message
        self.headers = {"X-Error-Message": message, **({"X-Error-Code": code} if code else {}), **(headers or {})}


@dataclass
class Repo:
    """One repository: its branches point to commits, a commit is a dict of path to content."""

    kind: str
    id: str
    private: bool = False
    gated: bool = False
    branches: dict[str, str] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    commits: dict[str, dict[str, bytes]] = field(default_factory=dict)
    messages: dict[str, list[str]] = field(default_factory=dict)

    def commit(self, branch: str, files: dict[str, bytes], message: str) -> str:
        blobs = sorted((path, git_sha(content)) for path, content in files.items())
        # A commit's id stands for its content in the client's cache, which outlives the Hub of one test.
        sha = hashlib.sha1(f"{self.id} {branch} {len(self.commits)} {blobs}".encode()).hexdigest()
        self.commits[sha] = files
        self.branches[branch] = sha
        self.messages.setdefault(branch, []).append(message)
        return sha

    def resolve(self, revision: str) -> str:
        sha = {**self.tags, **self.branches}.get(revision, revision)
        if sha not in self.commits:
            raise HubError(404, f"Invalid rev id: {revision}", "RevisionNotFound")
        return sha

    @property
    def files(self) -> dict[str, bytes]:
        """What is on the main branch."""
        return self.commits[self.branches["main"]]


def git_sha(content: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


def is_large(path: str) -> bool:
    return path.endswith(LARGE)


class HubServer:
    """The server, its users and its repositories. Run it with `start` and `stop`.

    Attributes:
        tokens: access token -> (user, "read" or "write").
        repos: (kind, id) -> repository; kind is "models", "datasets" or "spaces".
        requests: "METHOD /path" of every request that came in.
        largest: the storage refuses larger files, bytes.
        cuts: how many more requests of those that `cut_at` finds in "METHOD /path" lose their connection.
        cut_after: bytes of such a request that still come in.
        cut_with: such a request is answered with this HTTP status in place of losing its connection.
        held: requests that this finds in "METHOD /path" wait until it is None.
    """

    def __init__(self, listener: socket.socket | None = None):
        self.socket = listener or socket.create_server(("127.0.0.1", 0))
        port = self.socket.getsockname()[1]
        self.url = f"http://127.0.0.1:{port}"
        self.storage = f"http://localhost:{port}/storage"  # another host, as on the real Hub: no token goes there
        self.tokens = {"hf_ada": ("ada", "write"), "hf_bob": ("bob", "write"), "hf_reader": ("ada", "read")}
        self.reset()
        self.app = self.application()
        self.server = uvicorn.Server(uvicorn.Config(self.serve, interface="asgi3", log_level="warning", lifespan="off"))
        self.thread = threading.Thread(target=self.server.run, kwargs={"sockets": [self.socket]}, daemon=True)

    def reset(self) -> None:
        self.repos: dict[tuple[str, str], Repo] = {}
        self.objects: dict[str, bytes] = {}
        self.requests: list[str] = []
        self.largest = 1 << 30
        self.cuts = 0
        self.cut_at = ""
        self.cut_after = 0
        self.cut_with: int | None = None
        self.held: str | None = None

    def start(self) -> "HubServer":
        self.thread.start()
        deadline = time.monotonic() + 20
        while not self.server.started:
            if time.monotonic() > deadline or not self.thread.is_alive():
                raise RuntimeError("the test Hub did not start")
            time.sleep(0.01)
        return self

    def stop(self) -> None:
        self.server.should_exit = True
        self.thread.join()

    def host(
        self,
        repo_id: str,
        files: Mapping[str, bytes],
        *,
        kind: str = "models",
        branch: str = "main",
        private: bool = False,
        gated: bool = False,
    ) -> Repo:
        """Put a repository, or one more commit of it, on the Hub without going through the client."""
        repo = self.repos.setdefault((kind, repo_id), Repo(kind, repo_id, private, gated))
        repo.commit(branch, dict(files), "hosted")
        self.objects.update((hashlib.sha256(content).hexdigest(), content) for content in files.values())
        return repo

    def user(self, request: Request) -> tuple[str, str] | None:
        """Name and role behind the request; None where it carries no token."""
        header = request.headers.get("authorization")
        if header is None:
            return None
        user = self.tokens.get(header.removeprefix("Bearer "))
        if user is None:
            raise HubError(401, "Invalid credentials in Authorization header")
        return user

    def repo(self, request: Request, kind: str, repo_id: str, *, write: bool = False, content: bool = False) -> Repo:
        """The repository, if whoever asks may know that it exists, and may write to it or read its files."""
        user = self.user(request)
        repo = self.repos.get((kind, repo_id))
        owner = user is not None and user[0] == repo_id.partition("/")[0]
        if repo is None or (repo.private and not owner):
            if user is None:
                raise HubError(401, "Invalid username or password.", "RepoNotFound")
            raise HubError(404, "Repository not found", "RepoNotFound")
        if write and user is None:
            raise HubError(401, "Invalid username or password.")
        if write and not (owner and user and user[1] == "write"):
            raise HubError(403, "Forbidden: you must have write access to this repository")
        if content and repo.gated and not owner:
            raise HubError(403, f"Access to model {repo_id} is restricted and you are not in the list.", "GatedRepo")
        return repo

    async def serve(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        request = f"{scope['method']} {scope['path']}"
        self.requests.append(request)
        while self.held and re.search(self.held, request):
            await asyncio.sleep(0.01)
        if self.cuts and re.search(self.cut_at, request):
            self.cuts -= 1
            if self.cut_with:
                await Response(status_code=self.cut_with)(scope, receive, send)
            else:
                await self.cut(receive, send)
            return
        await self.app(scope, receive, send)

    async def cut(self, receive: Any, send: Any) -> None:
        """Take in a part of the request, then hang up without an answer."""
        received, more = 0, True
        while more and received < self.cut_after:
            message = await receive()
            received, more = received + len(message.get("body", b"")), message.get("more_body", False)
        send.__self__.transport.abort()  # the request's own TCP connection, in uvicorn
        while (await receive())["type"] != "http.disconnect":
            pass

    def application(self) -> FastAPI:
        app = FastAPI(redirect_slashes=False)

        @app.exception_handler(HubError)
        async def answer(request: Request, error: HubError) -> Response:
            return JSONResponse({"error": error.message}, error.status, error.headers)

        @app.get("/api/whoami-v2")
        async def whoami(request: Request) -> dict[str, Any]:
            user = self.user(request)
            if user is None:
                raise HubError(401, "Invalid username or password.")
            return {"type": "user", "name": user[0], "orgs": [], "auth": {"accessToken": {"role": user[1]}}}

        @app.post("/api/repos/create")
        async def create(request: Request) -> Response:
            body = await request.json()
            user = self.user(request)
            if user is None:
                raise HubError(401, "Invalid username or password.")
            owner = body.get("organization") or user[0]
            kind, repo_id = body.get("type", "model") + "s", f"{owner}/{body['name']}"
            if owner != user[0] or user[1] != "write":
                raise HubError(403, f'You don\'t have the rights to create a model under the namespace "{owner}".')
            prefix = "" if kind == "models" else f"{kind}/"
            answer = {"url": f"{self.url}/{prefix}{repo_id}", "name": repo_id, "id": repo_id}
            if (kind, repo_id) in self.repos:
                return JSONResponse({**answer, "error": "You already created this repo"}, 409)
            repo = Repo(kind, repo_id, private=body.get("visibility") == "private" or bool(body.get("private")))
            repo.commit("main", {".gitattributes": b"*.safetensors filter=lfs diff=lfs merge=lfs -text\n"}, "initial")
            self.repos[kind, repo_id] = repo
            return JSONResponse(answer)

        @app.post("/api/validate-yaml")
        async def validate(request: Request) -> Response:
            errors = card_errors((await request.json())["content"])
            return JSONResponse({"errors": [{"message": e} for e in errors], "warnings": []}, 400 if errors else 200)

        @app.post("/api/{kind}/{repo_id:path}/preupload/{revision:path}")
        async def preupload(request: Request, kind: str, repo_id: str, revision: str) -> dict[str, Any]:
            repo = self.repo(request, kind, repo_id, write=True)
            current = repo.commits[repo.resolve(revision)]
            return {
                "files": [
                    {
                        "path": file["path"],
                        "uploadMode": "lfs" if is_large(file["path"]) else "regular",
                        "shouldIgnore": False,
                        "oid": blob_id(file["path"], current[file["path"]]) if file["path"] in current else None,
                    }
                    for file in (await request.json())["files"]
                ]
            }

        @app.post("/api/{kind}/{repo_id:path}/commit/{revision:path}")
        async def commit(request: Request, kind: str, repo_id: str, revision: str) -> dict[str, Any]:
            repo = self.repo(request, kind, repo_id, write=True)
            files = dict(repo.commits[repo.resolve(revision)])
            header, *operations = (json.loads(line) for line in (await request.body()).splitlines())
            if header["value"].get("parentCommit") not in (None, repo.resolve(revision)):
                raise HubError(412, "A commit has happened since. Please refresh and try again.")
            for operation in operations:
                value = operation["value"]
                match operation["key"]:
                    case "file":
                        files[value["path"]] = base64.b64decode(value["content"])
                    case "lfsFile":
                        if value["oid"] not in self.objects:
                            raise HubError(400, f"LFS pointer pointed to a file that does not exist: {value['path']}")
                        files[value["path"]] = self.objects[value["oid"]]
                    case "deletedFile":
                        if files.pop(value["path"], None) is None:
                            raise HubError(404, "A file with this name doesn't exist", "EntryNotFound")
                    case unknown:
                        raise HubError(400, f"unknown operation {unknown}")
            if "README.md" in files and (errors := card_errors(files["README.md"].decode())):
                raise HubError(400, "; ".join(errors))
            sha = repo.commit(revision, files, header["value"]["summary"])
            return {"success": True, "commitOid": sha, "commitUrl": f"{self.url}/{repo_id}/commit/{sha}"}

        @app.post("/api/{kind}/{repo_id:path}/branch/{branch:path}")
        async def create_branch(request: Request, kind: str, repo_id: str, branch: str) -> Response:
            repo = self.repo(request, kind, repo_id, write=True)
            if branch in repo.branches:
                raise HubError(409, "Reference already exists")
            start = (await request.json()).get("startingPoint", "main")
            repo.branches[branch] = repo.resolve(start)
            return Response()

        @app.post("/{repo_path:path}.git/info/lfs/objects/batch")
        async def lfs_batch(request: Request, repo_path: str) -> dict[str, Any]:
            kind, repo_id = split_kind(repo_path)
            self.repo(request, kind, repo_id, write=True)
            objects = []
            for wanted in (await request.json())["objects"]:
                upload = {"href": f"{self.storage}/{wanted['oid']}"}
                verify = {"href": f"{self.url}/{repo_path}.git/info/lfs/verify"}
                known = wanted["oid"] in self.objects
                objects.append({**wanted, **({} if known else {"actions": {"upload": upload, "verify": verify}})})
            return {"transfer": "basic", "objects": objects}

        @app.post("/{repo_path:path}.git/info/lfs/verify")
        async def lfs_verify(request: Request, repo_path: str) -> Response:
            body = await request.json()
            if len(self.objects.get(body["oid"], b"")) != body["size"]:
                raise HubError(400, "the uploaded object has another size")
            return Response()

        @app.put("/storage/{oid}")
        async def store(request: Request, oid: str) -> Response:
            content = await request.body()
            if len(content) > self.largest:
                raise HubError(403, "Private repository storage limit reached")
            if hashlib.sha256(content).hexdigest() != oid:
                raise HubError(400, "the uploaded object has another checksum")
            self.objects[oid] = content
            return Response()

        @app.api_route("/storage/{oid}", methods=["GET", "HEAD"])
        async def stored(oid: str) -> Response:
            return Response(self.objects[oid], media_type="application/octet-stream", headers={"ETag": f'"{oid}"'})

        @app.get("/api/{kind}/{repo_id:path}/tree/{revision_and_path:path}")
        async def tree(request: Request, kind: str, repo_id: str, revision_and_path: str) -> list[dict[str, Any]]:
            repo = self.repo(request, kind, repo_id)
            revision, folder = split_revision(repo, revision_and_path)
            entries = list_entries(repo.commits[repo.resolve(revision)])
            below = [entry for entry in entries if not folder or entry["path"].startswith(f"{folder}/")]
            if folder and not below:
                raise HubError(404, f'{folder} does not exist on "{revision}"', "EntryNotFound")
            if request.query_params.get("recursive", "false").lower() in ("true", "1"):
                return below
            depth = folder.count("/") + 1 if folder else 0
            return [entry for entry in below if entry["path"].count("/") == depth]

        @app.post("/api/{kind}/{repo_id:path}/paths-info/{revision:path}")
        async def paths_info(request: Request, kind: str, repo_id: str, revision: str) -> list[dict[str, Any]]:
            repo = self.repo(request, kind, repo_id)
            form = await read_form_or_json(request)
            entries = list_entries(repo.commits[repo.resolve(revision)])
            return [entry for entry in entries if entry["path"] in form["paths"]]

        @app.get("/api/{kind}/{repo_id:path}/revision/{revision:path}")
        async def revision_info(request: Request, kind: str, repo_id: str, revision: str) -> dict[str, Any]:
            repo = self.repo(request, kind, repo_id)
            sha = repo.resolve(revision)
            return {
                "_id": sha[:24],
                "id": repo.id,
                "sha": sha,
                "private": repo.private,
                "gated": "manual" if repo.gated else False,
                "disabled": False,
                "downloads": 0,
                "likes": 0,
                "tags": [],
                "lastModified": "2025-01-01T00:00:00.000Z",
                "createdAt": "2025-01-01T00:00:00.000Z",
                "siblings": [{"rfilename": path} for path in sorted(repo.commits[sha])],
            }

        @app.get("/api/{kind}/{repo_id:path}")
        async def info(request: Request, kind: str, repo_id: str) -> dict[str, Any]:
            return await revision_info(request, kind, repo_id, "main")

        @app.api_route("/{repo_path:path}/resolve/{revision_and_path:path}", methods=["GET", "HEAD"])
        async def resolve(request: Request, repo_path: str, revision_and_path: str) -> Response:
            kind, repo_id = split_kind(repo_path)
            repo = self.repo(request, kind, repo_id, content=True)
            revision, path = split_revision(repo, revision_and_path)
            sha = repo.resolve(revision)
            headers = {"X-Repo-Commit": sha}
            content = repo.commits[sha].get(path)
            if content is None:
                raise HubError(404, "Entry not found", "EntryNotFound", headers)
            if not is_large(path):
                headers["ETag"] = f'"{git_sha(content)}"'
                return Response(content, media_type="text/plain; charset=utf-8", headers=headers)
            oid = hashlib.sha256(content).hexdigest()
            headers |= {"X-Linked-Etag": f'"{oid}"', "X-Linked-Size": str(len(content))}
            return RedirectResponse(f"{self.storage}/{oid}", 302, headers)

        return app


async def read_form_or_json(request: Request) -> dict[str, Any]:
    if "json" in request.headers.get("content-type", ""):
        return await request.json()
    form = await request.form()
    return {"paths": form.getlist("paths")}


def split_kind(repo_path: str) -> tuple[str, str]:
    """A model's repository stands at the root of the Hub, a data set's under `datasets/`, a Space's under `spaces/`."""
    kind, _, repo_id = repo_path.partition("/")
    return (kind, repo_id) if kind in ("datasets", "spaces") else ("models", repo_path)


def split_revision(repo: Repo, revision_and_path: str) -> tuple[str, str]:
    """A branch may have slashes in its name: the longest known one wins, else the first part is the revision."""
    for branch in sorted(repo.branches, key=len, reverse=True):
        if revision_and_path == branch or revision_and_path.startswith(f"{branch}/"):
            return branch, revision_and_path[len(branch) + 1 :]
    revision, _, path = revision_and_path.partition("/")
    return revision, path


def blob_id(path: str, content: bytes) -> str:
    """What the client compares to skip a file that has not changed."""
    return hashlib.sha256(content).hexdigest() if is_large(path) else git_sha(content)


def list_entries(files: Mapping[str, bytes]) -> list[dict[str, Any]]:
    """Files and folders in the form of the tree API."""
    entries: dict[str, dict[str, Any]] = {}
    for path, content in sorted(files.items()):
        for cut in [match.start() for match in re.finditer("/", path)]:
            folder = path[:cut]
            entries[folder] = {"type": "directory", "oid": git_sha(folder.encode()), "size": 0, "path": folder}
        entry = {"type": "file", "oid": git_sha(content), "size": len(content), "path": path}
        if is_large(path):
            oid = hashlib.sha256(content).hexdigest()
            entry["lfs"] = {"oid": oid, "size": len(content), "pointerSize": 134}
        entries[path] = entry
    return list(entries.values())


def card_errors(content: str) -> list[str]:
    """What the Hub would say of the YAML block of a README.md; empty where all is well."""
    match = re.match(r"---\n(.*?)\n---(\n|$)", content, re.DOTALL)
    if match is None:
        return []
    try:
        data = yaml.safe_load(match.group(1))
    except yaml.YAMLError as error:
        return [f"the metadata is not YAML: {error}"]
    if not isinstance(data, dict):
        return ["the metadata must be a mapping"]
    errors = [
        f'"{key}" must be {wanted.__name__}'
        for key, wanted in {"license": str, "pipeline_tag": str, "library_name": str, "tags": list}.items()
        if key in data and not isinstance(data[key], wanted)
    ]
    for model in data.get("model-index", []):
        if not isinstance(model.get("name"), str) or not model.get("results"):
            errors.append('"model-index" needs a name and results')
        for result in model.get("results", []):
            if not result.get("task", {}).get("type"):
                errors.append('"model-index" needs task.type')
            if not all(isinstance(result.get("dataset", {}).get(key), str) for key in ("type", "name")):
                errors.append('"model-index" needs dataset.type and dataset.name')
            if not result.get("metrics"):
                errors.append('"model-index" needs metrics')
            for metric in result.get("metrics", []):
                try:
                    json.dumps(metric["value"], allow_nan=False)
                except ValueError:
                    errors.append('"model-index" has a metric that is not a number')
    return errors
