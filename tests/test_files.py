"""Files that are written whole or not at all: under any name, with the mode and owner they had, through links."""

import os
import stat
from pathlib import Path

import pytest

from hf_denoise.errors import UserError
from hf_denoise.files import remove_parts, written_beside


def write(target: Path, content: bytes = b"new") -> None:
    with written_beside(target) as file:
        file.write(content)


@pytest.mark.parametrize("mode", [0o600, 0o640, 0o664, 0o755])
def test_the_mode_of_what_is_replaced_stays(tmp_path: Path, mode: int) -> None:
    target = tmp_path / "a.png"
    target.write_bytes(b"old")
    target.chmod(mode)
    with written_beside(target) as file:
        file.write(b"new")
        (part,) = tmp_path.glob(".*.part")
        assert stat.S_IMODE(part.stat().st_mode) & 0o077 == 0  # nobody else reads it before
    assert stat.S_IMODE(target.stat().st_mode) == mode
    assert target.read_bytes() == b"new"


def test_a_new_file_has_the_usual_mode(tmp_path: Path) -> None:
    (tmp_path / "usual").touch()
    write(tmp_path / "a.png")
    assert (tmp_path / "a.png").stat().st_mode == (tmp_path / "usual").stat().st_mode


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only the super-user gives files away")
def test_the_owner_stays_where_that_is_allowed(tmp_path: Path) -> None:
    target = tmp_path / "a.png"
    target.write_bytes(b"old")
    os.chown(target, 1234, 2345)
    target.chmod(0o640)
    write(target)
    status = target.stat()
    assert (status.st_uid, status.st_gid, stat.S_IMODE(status.st_mode)) == (1234, 2345, 0o640)


def test_links_are_written_through(tmp_path: Path) -> None:
    real = tmp_path / "elsewhere" / "real.png"
    real.parent.mkdir()
    real.write_bytes(b"old")
    real.chmod(0o600)
    (tmp_path / "link.png").symlink_to(Path("elsewhere") / "real.png")
    (tmp_path / "second.png").symlink_to("link.png")
    write(tmp_path / "second.png")
    assert real.read_bytes() == b"new"
    assert stat.S_IMODE(real.stat().st_mode) == 0o600
    assert (tmp_path / "second.png").is_symlink() and (tmp_path / "link.png").is_symlink()
    assert os.listdir(real.parent) == ["real.png"]
    (tmp_path / "nowhere.png").symlink_to(real.parent / "later.png")
    write(tmp_path / "nowhere.png")
    assert (real.parent / "later.png").read_bytes() == b"new"


@pytest.mark.parametrize("letter", ["a", "\u00e4", "\u96ea", "\U0001f600", "\udce4"])
def test_any_legal_name_is_written_and_its_part_found_again(tmp_path: Path, letter: str) -> None:
    name = letter * (251 // len(os.fsencode(letter))) + ".png"
    target = tmp_path / name
    try:
        target.touch()
    except OSError:
        pytest.skip("this file system has no such names")
    target.unlink()
    with written_beside(target) as file:
        file.write(b"new")
        (part,) = (entry for entry in os.listdir(tmp_path) if entry.endswith(".part"))
        os.link(tmp_path / part, tmp_path / part.replace(part[-13:-5], "0" * 8))  # as a killed process leaves it
    assert target.read_bytes() == b"new"
    remove_parts([target])
    assert os.listdir(tmp_path) == [name]


def test_a_failure_leaves_the_old_file(tmp_path: Path) -> None:
    target = tmp_path / "a.png"
    target.write_bytes(b"old")
    with pytest.raises(UserError, match=r"a\.png"), written_beside(target) as file:
        file.write(b"new")
        raise ValueError("no")
    assert target.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["a.png"]
