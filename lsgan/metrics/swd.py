"""Sliced Wasserstein distances."""
import numpy


def sliced_wasserstein(x, y, directions=64):
    """The mean, over directions of the plane, of the Wasserstein-1 distance between the projections of two samples.

    Args:
        x, y: float arrays of shape (N, 2), as many points in each.
        directions (int): how many, evenly over the half circle.

    Returns:
        float: in units of the data; 0 for equal samples.

    Raises:
        ValueError: where the shapes differ.
    """
    x, y = numpy.asarray(x, numpy.float64), numpy.asarray(y, numpy.float64)
    if x.shape != y.shape or x.ndim != 2 or x.shape[1] != 2:
        raise ValueError(f'two samples of one shape (N, 2) are needed, not {x.shape} and {y.shape}')
    angles = numpy.pi * numpy.arange(directions) / directions
    axes = numpy.stack([numpy.cos(angles), numpy.sin(angles)])
    return float(numpy.abs(numpy.sort(x @ axes, axis=0) - numpy.sort(y @ axes, axis=0)).mean())


_TAPS = numpy.array([1, 4, 6, 4, 1]) / 16
_PATCH, _PATCHES, _DIRECTIONS = 7, 32, 128      # side of a patch, patches of an image at each level, directions


def pyramid_projections(images, seed=0):
    """What `pyramid_distances` compares, of one set of images.

    A Laplacian pyramid splits each image into levels, each of half the side of the one before, down to less than 32 pixels. Of
    each level 32 patches of 7x7 pixels are drawn from every image; their numbers, each colour's with mean 0 and variance 1,
    are projected on 128 directions (Karras et al. 2018, arXiv:1710.10196, section 5, with fewer patches and directions).

    Args:
        images: array of shape (N, C, H, W), grey levels 0 to 255, sides of at least 16, C at most 3.
        seed (int): of the places and the directions; only sets of one seed can be compared.

    Returns:
        dict: from the level's height, in pixels, to a float32 array (128, 32 N), each row sorted.
    """
    draws = numpy.random.default_rng(seed)
    rounding = 1e-5 * max(abs(float(images.min())), abs(float(images.max())), 1e-25)
    patches = {}
    for first in range(0, len(images), 256):
        for level in _laplacian_pyramid(images[first:first + 256].astype(numpy.float32)):
            patches.setdefault(level.shape[2], []).append(_patches(level, draws))
    projections = {}
    for height, parts in patches.items():
        rows = numpy.concatenate(parts)                         # (N * 32, C, 49)
        rows -= rows.mean(axis=(0, 2), keepdims=True, dtype=numpy.float64).astype(numpy.float32)
        spread = rows.std(axis=(0, 2), keepdims=True, dtype=numpy.float64)
        rows /= numpy.maximum(spread, rounding).astype(numpy.float32)       # a set of one colour stays one
        rows = rows.reshape(len(rows), -1)
        directions = numpy.random.default_rng([seed, height]).standard_normal((_DIRECTIONS, rows.shape[1]), numpy.float32)
        directions /= numpy.linalg.norm(directions, axis=1, keepdims=True)
        projections[height] = numpy.sort(directions @ rows.T, axis=1)
    return projections


def pyramid_distances(a, b):
    """Sliced Wasserstein-1 distances between the patches of two sets of images of one number and size, level by level.

    Args:
        a, b (dict): see `pyramid_projections`.

    Returns:
        dict: from each level's height to the distance, 0 to about 1; the literature writes it times 1,000.

    Raises:
        ValueError: where the sets differ in number or size.
    """
    if {level: rows.shape for level, rows in a.items()} != {level: rows.shape for level, rows in b.items()}:
        raise ValueError('two sets of as many images of one size are needed')
    return {level: float(numpy.abs(a[level] - b[level]).mean()) for level in a}


def _laplacian_pyramid(images):
    """Yields what each level adds to the next, (N, C, H, W), from the finest on, and at last the smallest image itself."""
    while min(images.shape[2:]) >= 32:
        smaller = _blur(images, 1)[:, :, ::2, ::2]
        larger = numpy.zeros_like(images)
        larger[:, :, ::2, ::2] = smaller
        yield images - _blur(larger, 4)
        images = smaller
    yield images


def _blur(images, gain):
    """Images times a 5x5 binomial kernel, mirrored at the borders."""
    for axis in 2, 3:
        n = images.shape[axis]
        padded = numpy.pad(images, [(2, 2) if i == axis else (0, 0) for i in range(4)], 'reflect')
        images = sum(numpy.float32(tap * gain ** 0.5) * padded.take(range(i, i + n), axis) for i, tap in enumerate(_TAPS))
    return images


def _patches(level, draws):
    """Patches of each image, from anywhere in it: (N * 32, C, 49)."""
    n, colours, height, width = level.shape
    y, x = (draws.integers(side - _PATCH + 1, size=(n, _PATCHES, 1, 1)) for side in (height, width))
    rows, columns = numpy.ogrid[:_PATCH, :_PATCH]
    picked = level.transpose(0, 2, 3, 1)[numpy.arange(n)[:, None, None, None], y + rows, x + columns]
    return picked.reshape(n * _PATCHES, -1, colours).transpose(0, 2, 1).copy()
