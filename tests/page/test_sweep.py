"""Uploads go after their time; what is in use, and what was there at the start, stays."""

import os
import time
from pathlib import Path

from hf_denoise.page.sweep import remove_old, sweep


def aged(path: Path, seconds: float) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"x")
    for each in (path, path.parent):
        os.utime(each, (time.time() - seconds,) * 2)
    return path


def test_old_files_and_folders_go_and_the_others_stay(tmp_path: Path) -> None:
    folder = tmp_path / "uploads"
    for name in ("old/a.png", "mixed/old.png", "kept/a.png"):
        aged(folder / name, 100)
    (folder / "mixed" / "new.png").write_bytes(b"x")
    os.utime(folder / "mixed", (time.time() - 100,) * 2)
    (folder / "new").mkdir()
    outside = aged(tmp_path / "outside.png", 100)
    (folder / "link").symlink_to(tmp_path)
    os.utime(folder / "link", (time.time() - 100,) * 2, follow_symlinks=False)
    aged(folder / "broken-off", 100)

    assert remove_old(folder, 50, keep={folder / "kept"}) == 3

    assert sorted(path.name for path in folder.iterdir()) == ["kept", "mixed", "new"]
    assert outside.exists()
    assert remove_old(folder, 50, keep={folder / "kept"}) == 0
    assert remove_old(tmp_path / "missing", 0) == 0


def test_a_sweep_leaves_what_was_there_when_it_began(tmp_path: Path) -> None:
    first = aged(tmp_path / "first" / "a.png", 100)
    sweep(tmp_path, seconds=5, every=0.05)
    later = aged(tmp_path / "later" / "a.png", 100)
    end = time.monotonic() + 10
    while later.parent.exists() and time.monotonic() < end:
        time.sleep(0.02)
    assert not later.parent.exists()
    assert first.exists()
