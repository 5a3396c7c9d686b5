"""Convolution of any geometry as one matrix product: every pixel's window becomes a row (im2col), and back (col2im).

Images are stored as (N, height, width, channels), columns as (N, h, w, kh, kw, C). Each kernel processes the images
[first, last); its columns begin with those of image `first`.
"""
import numpy as np

from lsgan.functions.cpu.jit import kernel


@kernel
def from_big(big: np.ndarray, kh: int, kw: int, sy: int, sx: int, ph: int, pw: int, h: int, w: int, first: int, last: int,
             columns: np.ndarray) -> None:
    """Fill `columns` with the window of each of the h x w positions. Pixels outside the image are zero."""
    N, H, W, C = big.shape
    out = columns.reshape(columns.size)
    length, across = np.uint64(kw * C), np.uint64(sx * C)       # unsigned, because Numba tests the sign of each index
    line = np.zeros(((w - 1) * sx + kw) * C, big.dtype)         # a row of the padded image
    row = line[pw * C:(pw + W) * C]
    for n in range(first, last):
        image = big[n].reshape(H, W * C)
        for y in range(h):
            for ky in range(kh):
                i = y * sy - ph + ky
                if 0 <= i < H:
                    row[:] = image[i, :row.size]
                else:
                    row[:] = 0
                start, end = np.uint64(0), np.uint64((((n - first) * h + y) * w * kh + ky) * kw * C)
                for _ in range(w):
                    for k in range(length):
                        out[end + k] = line[start + k]
                    start += across
                    end += np.uint64(kh) * length


@kernel
def to_big(columns: np.ndarray, bias: np.ndarray, kh: int, kw: int, sy: int, sx: int, ph: int, pw: int, h: int, w: int,
           first: int, last: int, big: np.ndarray) -> None:
    """Fill `big` with the sum of all windows, each at the place that `from_big` takes it from, plus the bias."""
    N, H, W, C = big.shape
    source = columns.reshape(columns.size)
    length, across = np.uint64(kw * C), np.uint64(sx * C)
    line = np.empty(max((w - 1) * sx + kw, pw + W) * C, big.dtype)
    for n in range(first, last):
        for i in range(H):
            line[:] = 0
            for ky in range((i + ph) % sy, kh, sy):
                y = (i + ph - ky) // sy
                if y < 0 or y >= h:
                    continue
                start, end = np.uint64((((n - first) * h + y) * w * kh + ky) * kw * C), np.uint64(0)
                for _ in range(w):
                    for k in range(length):
                        line[end + k] += source[start + k]
                    start += np.uint64(kh) * length
                    end += across
            for j in range(W):
                pixel, total = big[n, i, j], line[(pw + j) * C:(pw + j + 1) * C]
                for c in range(C):
                    pixel[c] = total[c] + bias[c]


@kernel
def add_bias(rows: np.ndarray, bias: np.ndarray) -> None:
    """Add a bias (C,) to each of the rows (R, C), in place."""
    R, C = rows.shape
    for r in range(R):
        row = rows[r]
        for c in range(C):
            row[c] += bias[c]


@kernel
def column_sums(rows: np.ndarray, sums: np.ndarray) -> None:
    """Fill `sums`, a float64 array (C,), with the sum of each column of the rows (R, C)."""
    R, C = rows.shape
    block = np.empty(C, rows.dtype)
    sums[:] = 0
    for start in range(0, R, 64):
        block[:] = 0
        for r in range(start, min(start + 64, R)):
            row = rows[r]
            for c in range(C):
                block[c] += row[c]
        for c in range(C):
            sums[c] += block[c]


@kernel
def transpose(x: np.ndarray, first: int, last: int, y: np.ndarray) -> None:
    """Fill y (N, Q, P) with x (N, P, Q), last two axes exchanged, in blocks that fit the cache."""
    N, P, Q = x.shape
    for n in range(first, last):
        for p0 in range(0, P, 16):
            for q0 in range(0, Q, 16):
                for q in range(q0, min(q0 + 16, Q)):
                    for p in range(p0, min(p0 + 16, P)):
                        y[n, q, p] = x[n, p, q]
