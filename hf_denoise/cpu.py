"""Memory settings of the C library that matter to inference and training on a CPU."""

import ctypes

# Parameter numbers of glibc's mallopt(3).
_M_TRIM_THRESHOLD = -1
_M_MMAP_THRESHOLD = -3
_M_ARENA_MAX = -8


def keep_freed_memory() -> bool:
    """Let glibc keep freed blocks for reuse instead of handing them back to the kernel.

    By default every activation above 32 MiB is mapped anew, zeroed by the kernel page by page, and unmapped again:
    that is half of the time of a forward pass. Kept, the process holds on to its peak memory. The setting is for the
    whole process; where the C library is not glibc nothing happens.

    Returns:
        Whether the setting was made.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError, TypeError):
        return False
    # Large blocks are kept in the main arena only: a thread with one of its own, as the page's, would map them anew.
    settings = ((_M_MMAP_THRESHOLD, 1 << 30), (_M_TRIM_THRESHOLD, 2**31 - 1), (_M_ARENA_MAX, 1))
    return all(mallopt(parameter, value) == 1 for parameter, value in settings)
