"""Sliced Wasserstein distances."""
from collections.abc import Mapping

import numpy


def sliced_wasserstein(x: numpy.ndarray, y: numpy.ndarray, directions: int = 64) -> float:
    """Return the sliced Wasserstein-1 distance between two samples in the plane (Rabin et al. 2011, Bonneel et al. 2015).

    It is the mean over directions of the Wasserstein-1 distance between the projections of the two samples.

    Args:
        x, y: samples, float arrays of equal shape (N, 2).
        directions: number of directions, evenly spaced over the half circle.

    Returns:
        The distance, in units of the data; 0 for equal samples.

    Raises:
        ValueError: if the shapes differ from each other or from (N, 2).
    """
    x, y = numpy.asarray(x, numpy.float64), numpy.asarray(y, numpy.float64)
    if x.shape != y.shape or x.ndim != 2 or x.shape[1] != 2:
        raise ValueError(f'expected two samples of one shape (N, 2), got {x.shape} and {y.shape}')
    angles = numpy.pi * numpy.arange(directions) / directions
    axes = numpy.stack([numpy.cos(angles), numpy.sin(angles)])
    return float(numpy.abs(numpy.sort(x @ axes, axis=0) - numpy.sort(y @ axes, axis=0)).mean())


_TAPS = numpy.array([1, 4, 6, 4, 1]) / 16
_PATCH, _PATCHES, _DIRECTIONS = 7, 32, 128      # side of a patch, patches per image and level, directions


def pyramid_projections(images: numpy.ndarray, seed: int = 0) -> dict[int, numpy.ndarray]:
    """Return the sorted projections of image patches that `pyramid_distances` compares.

    A Laplacian pyramid decomposes each image into levels. Each level has half the side of the previous one, down to a side
    below 32 pixels. From each level of each image, 32 patches of 7x7 pixels are drawn at random. They are normalised to mean 0
    and variance 1 in each colour channel and projected onto 128 random directions. The method is that of Karras et al. 2018
    (arXiv:1710.10196, section 5), with fewer patches and directions.

    Args:
        images: array of shape (N, C, H, W) with C at most 3, H and W at least 16, in grey levels 0 to 255.
        seed: random seed of the patch positions and the directions. Only projections with the same seed are comparable.

    Returns:
        Maps the height of each level, in pixels, to a float32 array of shape (128, 32 N) with sorted rows.
    """
    draws = numpy.random.default_rng(seed)
    rounding = 1e-5 * max(abs(float(images.min())), abs(float(images.max())), 1e-25)
    patches: dict[int, list[numpy.ndarray]] = {}
    for first in range(0, len(images), 256):
        for level in _laplacian_pyramid(images[first:first + 256].astype(numpy.float32)):
            patches.setdefault(level.shape[2], []).append(_patches(level, draws))
    projections = {}
    for height, parts in patches.items():
        rows = numpy.concatenate(parts)                         # (N * 32, C, 49)
        rows -= rows.mean(axis=(0, 2), keepdims=True, dtype=numpy.float64).astype(numpy.float32)
        spread = rows.std(axis=(0, 2), keepdims=True, dtype=numpy.float64)
        # The lower limit avoids amplifying rounding errors if all images have the same colour.
        rows /= numpy.maximum(spread, rounding).astype(numpy.float32)
        rows = rows.reshape(len(rows), -1)
        directions = numpy.random.default_rng([seed, height]).standard_normal((_DIRECTIONS, rows.shape[1]), numpy.float32)
        directions /= numpy.linalg.norm(directions, axis=1, keepdims=True)
        projections[height] = numpy.sort(directions @ rows.T, axis=1)
    return projections


def pyramid_distances(a: Mapping[int, numpy.ndarray], b: Mapping[int, numpy.ndarray]) -> dict[int, float]:
    """Return the sliced Wasserstein-1 distance between the patches of two sets of images, for each pyramid level.

    Args:
        a, b: projections of two sets of equally many images of equal size, made by `pyramid_projections` with one seed.

    Returns:
        Maps the height of each level, in pixels, to the distance, 0 to about 1. Karras et al. report it times 1,000.

    Raises:
        ValueError: if the sets differ in the number or the size of their images.
    """
    if {level: rows.shape for level, rows in a.items()} != {level: rows.shape for level, rows in b.items()}:
        raise ValueError('expected two sets of equally many images of one size')
    return {level: float(numpy.abs(a[level] - b[level]).mean()) for level in a}


def _laplacian_pyramid(images):
    """Yield the levels of the Laplacian pyramid, arrays of shape (N, C, H, W), from the finest to the low-pass residual."""
    while min(images.shape[2:]) >= 32:
        smaller = _blur(images, 1)[:, :, ::2, ::2]
        larger = numpy.zeros_like(images)
        larger[:, :, ::2, ::2] = smaller
        yield images - _blur(larger, 4)
        images = smaller
    yield images


def _blur(images, gain):
    """Convolve images with a 5x5 binomial kernel times `gain`, with mirrored borders."""
    for axis in 2, 3:
        n = images.shape[axis]
        padded = numpy.pad(images, [(2, 2) if i == axis else (0, 0) for i in range(4)], 'reflect')
        images = sum(numpy.float32(tap * gain ** 0.5) * padded.take(range(i, i + n), axis) for i, tap in enumerate(_TAPS))
    return images


def _patches(level, draws):
    """Draw patches at uniformly random positions from each image: array of shape (N * 32, C, 49)."""
    n, colours, height, width = level.shape
    y, x = (draws.integers(side - _PATCH + 1, size=(n, _PATCHES, 1, 1)) for side in (height, width))
    rows, columns = numpy.ogrid[:_PATCH, :_PATCH]
    picked = level.transpose(0, 2, 3, 1)[numpy.arange(n)[:, None, None, None], y + rows, x + columns]
    return picked.reshape(n * _PATCHES, -1, colours).transpose(0, 2, 1).copy()
