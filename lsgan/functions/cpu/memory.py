"""Memory that is freed, kept for what comes next."""
import ctypes

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3       # of glibc's malloc.h
_LARGE = 1 << 30


def keep_freed_memory():
    """Keeps the memory of freed arrays in this process, up to 1 GiB, where the C library can (glibc's `mallopt`).

    Every update frees and allocates the same arrays. By default glibc gives them back to the system, which fetches, clears
    and maps them anew, page by page: a tenth of an update of networks for 28x28 images. The setting is the whole process's, so
    the training scripts make it, and importing the package does not.

    Returns:
        bool: whether it was made.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):        # another C library
        return False
    # older versions refuse more than 32 MiB for the second one
    return bool(mallopt(_TRIM_THRESHOLD, _LARGE) and (mallopt(_MMAP_THRESHOLD, _LARGE) or mallopt(_MMAP_THRESHOLD, 32 << 20)))
