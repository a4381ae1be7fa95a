"""Many pictures in one call: names, folders, and archives that mean harm."""

import io
import re
import shutil
import zipfile
from pathlib import Path

import gradio as gr
import pytest
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError
from PIL import Image

from hf_denoise.inference.denoiser import Denoiser
from hf_denoise.page import batch, members

pytestmark = pytest.mark.slow


def test_many_pictures_keep_names_and_folders(client: Client, pictures: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "shots.zip", "w") as archive:
        for name in ("a.png", "deep/er/a.png", "__MACOSX/a.png", ".hidden.png"):
            archive.write(pictures / "noisy.png", name)
        archive.writestr("notes.txt", "no picture")
    files = [tmp_path / "shots.zip", pictures / "noisy.png"]
    archive, table = client.predict([handle_file(file) for file in files], 0.5, api_name="/denoise_many")
    with zipfile.ZipFile(archive) as found:
        assert sorted(found.namelist()) == ["a.png", "deep/er/a.png", "metrics.csv", "noisy.png"]
        with Image.open(io.BytesIO(found.read("deep/er/a.png"))) as image:
            assert (image.size, image.mode, image.format) == ((160, 120), "RGB", "PNG")
    rows = {row[0]: row[1:] for row in table}
    assert set(rows) == {"a.png", "deep/er/a.png", "notes.txt", "noisy.png"}
    before, after, message = rows["a.png"]
    assert before / 3 < after < before * 2 / 3
    assert message == ""
    assert "'notes.txt'" in rows["notes.txt"][2]


def test_a_result_in_the_zip_has_the_extension_of_its_format_and_a_name_of_its_own(
    pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path))
    shutil.copy(pictures / "whole.jpg", tmp_path / "photo.jfif")
    Image.new("RGBA", (40, 30), (90, 90, 90, 128)).save(tmp_path / "logo.jpg", "PNG")
    shutil.copy(pictures / "noisy.png", tmp_path / "logo.PNG")
    shutil.copy(pictures / "truncated.jpg", tmp_path / "cut.jfif")
    with zipfile.ZipFile(tmp_path / "shots.zip", "w") as archive:
        archive.write(pictures / "whole.jpg", "deep/photo")
    files = [str(tmp_path / name) for name in ("photo.jfif", "logo.jpg", "logo.PNG", "cut.jfif", "shots.zip")]
    results_zip, rows = batch.denoise_many(files)
    expected = {"photo.jfif": "JPEG", "logo-2.png": "PNG", "logo.PNG": "PNG", "deep/photo.jpg": "JPEG"}
    assert {row[0]: row[3] for row in rows if not row[3]} == dict.fromkeys(expected, "")
    assert [(row[0], "'cut.jfif'" in row[3]) for row in rows if row[3]] == [("cut.jfif", True)]
    with zipfile.ZipFile(results_zip) as found:
        assert set(found.namelist()) == {*expected, "metrics.csv"}
        formats = {name: Image.open(io.BytesIO(found.read(name))).format for name in expected}
    assert formats == expected


def test_what_failed_in_the_zip_is_told_from_what_failed_in_the_network(
    pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path))
    with zipfile.ZipFile(tmp_path / "shots.zip", "w") as archive:
        for name in ("secret.png", "damaged.png", "whole.png"):
            archive.write(pictures / "noisy.png", name)
        damaged = archive.getinfo("damaged.png")
    packed = bytearray((tmp_path / "shots.zip").read_bytes())
    packed[packed.index(b"PK\1\2") + 8] |= 1  # the flag of the first entry that says that it is encrypted
    packed[damaged.header_offset + 100] ^= 255
    (tmp_path / "shots.zip").write_bytes(packed)

    def without_memory(*_: object, **__: object) -> None:
        raise RuntimeError("CUDA out of memory. Tried to allocate 2 GiB.\nCompile with TORCH_USE_CUDA_DSA")

    monkeypatch.setattr(Denoiser, "picture", without_memory)
    _, rows = batch.denoise_many([str(tmp_path / "shots.zip"), str(pictures / "clean.png")])
    messages = {row[0]: row[3] for row in rows}
    for name in ("secret.png", "damaged.png"):
        assert messages[name].startswith(f"'{name}' is damaged or encrypted in the ZIP; ")
    for name in ("whole.png", "clean.png"):
        assert messages[name] == "could not be denoised: CUDA out of memory. Tried to allocate 2 GiB."
        assert f"'{name}' could not be denoised" in caplog.text
    assert "TORCH_USE_CUDA_DSA" in caplog.text


def test_a_colon_in_a_name_in_the_zip_is_no_drive(
    pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path))
    names = ["2024-01-01T12:30:05.png", "12:30/part:a.png"]
    with zipfile.ZipFile(tmp_path / "shots.zip", "w") as archive:
        for name in names:
            archive.write(pictures / "noisy.png", name)
    results_zip, rows = batch.denoise_many([str(tmp_path / "shots.zip")])
    assert [(row[0], row[3]) for row in rows] == [(name, "") for name in names]
    assert zipfile.ZipFile(results_zip).namelist() == [*names, "metrics.csv"]


@pytest.mark.parametrize(
    "name", ["../out.png", "/out.png", "/a/out.png", "a/../../out.png", "..\\out.png", "C:\\out.png", "C:/out.png"]
)
def test_a_zip_that_leads_out_of_itself_is_refused(client: Client, pictures: Path, tmp_path: Path, name: str) -> None:
    with zipfile.ZipFile(tmp_path / "bad.zip", "w") as archive:
        archive.writestr(zipfile.ZipInfo(name), (pictures / "noisy.png").read_bytes())
    with pytest.raises(AppError, match=re.escape(f"'bad.zip' has a file whose name leads out of the ZIP, \"{name}\";")):
        client.predict([handle_file(tmp_path / "bad.zip")], api_name="/denoise_many")


def test_a_zip_bomb_is_refused(pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path))
    with zipfile.ZipFile(tmp_path / "bomb.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("zeros.png", bytes(5_000_000))
        for number in range(20):
            archive.writestr(f"{number}.png", b"")
    monkeypatch.setattr(members, "MAX_UNPACKED", 4_000_000)
    with pytest.raises(gr.Error, match=r"unpacks to 0\.0 GB"):
        batch.denoise_many([str(tmp_path / "bomb.zip")])
    monkeypatch.setattr(members, "MAX_FILES", 20)
    monkeypatch.setattr(members, "MAX_UNPACKED", 6_000_000)
    with pytest.raises(gr.Error, match="21 files are too many"):
        batch.denoise_many([str(tmp_path / "bomb.zip")])

    # One that declares less than it holds is no way around.
    packed = (tmp_path / "bomb.zip").read_bytes()
    lie = packed.replace((5_000_000).to_bytes(4, "little"), (1000).to_bytes(4, "little"))
    (tmp_path / "lie.zip").write_bytes(lie)
    monkeypatch.setattr(members, "MAX_FILES", 21)
    results_zip, rows = batch.denoise_many([str(tmp_path / "lie.zip")])
    assert all(row[3] for row in rows)
    assert zipfile.ZipFile(results_zip).namelist() == ["metrics.csv"]
