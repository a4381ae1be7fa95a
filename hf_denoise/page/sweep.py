"""Deleting uploads some time after they were last used."""

import shutil
import threading
import time
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path


def remove_old(folder: Path, seconds: float, keep: Collection[Path] = ()) -> int:
    """Delete the files and folders in `folder` that nothing was written to for so long.

    Args:
        folder: need not exist.
        seconds: since the last change of a file, or of any file in a folder.
        keep: entries of `folder` that stay, however old.

    Returns:
        How many entries were deleted.
    """
    removed = 0
    for entry in folder.iterdir() if folder.is_dir() else ():
        with suppress(OSError):  # another process may have been faster
            inside = entry.rglob("*") if entry.is_dir() and not entry.is_symlink() else ()
            last = max(path.lstat().st_mtime for path in (entry, *inside))
            if entry in keep or time.time() - last <= seconds:
                continue
            if entry.is_dir() and not entry.is_symlink():
                shutil.rmtree(entry)
            else:
                entry.unlink()
            removed += 1
    return removed


def sweep(folder: Path, seconds: float, every: float) -> threading.Thread:
    """Delete what becomes older than `seconds` in `folder`, `every` so many seconds, as long as the process lives.

    What is there now stays. Gradio's own `delete_cache` leaves uploads that broke off, and empty folders.
    """
    keep = set(folder.iterdir()) if folder.is_dir() else set()

    def run() -> None:
        while True:
            time.sleep(every)
            remove_old(folder, seconds, keep)

    thread = threading.Thread(target=run, name="sweep", daemon=True)
    thread.start()
    return thread
