"""Reuse of freed memory within the process."""
import ctypes

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3       # M_TRIM_THRESHOLD and M_MMAP_THRESHOLD in glibc's malloc.h
_LARGE = 1 << 30


def keep_freed_memory() -> bool:
    """Keep the memory of freed arrays in this process, up to 1 GiB, if the C library supports it (glibc's `mallopt`).

    Every update frees and allocates the same arrays. By default, glibc returns their memory to the system, which then has to
    clear and map it again, page by page. This takes a tenth of an update of networks for 28x28 images. The setting affects
    the whole process. Therefore the training scripts make it, and importing the package does not.

    Returns:
        Whether the C library accepted the setting.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):        # another C library
        return False
    # older versions of glibc refuse an mmap threshold above 32 MiB
    return bool(mallopt(_TRIM_THRESHOLD, _LARGE) and (mallopt(_MMAP_THRESHOLD, _LARGE) or mallopt(_MMAP_THRESHOLD, 32 << 20)))
