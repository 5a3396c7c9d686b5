"""Convolution by Winograd's minimal filtering, for kernels twice as large as their stride: 9 multiplications instead of 16.

Along one axis, such a kernel consists of `s` interleaved kernels of two taps, where `s` is the stride: one kernel for each
phase of the input. The algorithm F(2, 2) computes two neighbouring outputs of two taps with three multiplications instead of
four (Lavin & Gray 2016, arXiv:1509.09308): y = A^T [(G w) * (B^T x)] with

    B^T = 1  0 -1     G = 1    0      A^T = 1  1  1
          0  1  1         1/2  1/2          0  1 -1
          0 -1  1         1/2 -1/2

In two dimensions, a tile of 2x2 outputs takes 3x3 products for each pair of channels and each phase. The products of all tiles
together are nine matrix products. The adjoint transforms give the gradients. The interpolation points are 0, 1 and -1, because
with the usual points 0, 1 and infinity the rounding error would be more than twice that of direct summation.

Below, *big* is the image that the stride divides: x of a convolution, y of a deconvolution, with H x W pixels and C channels.
*Small* is the other image, with h x w pixels and F channels, one per filter. Both are stored as (N, height, width, channels).
The small image is covered by T = N * TY * TX tiles of 2x2 pixels. The transformed tiles are arrays (9, T, s*s*C) for the big
image and (9, T, F) for the small one. Each kernel processes the images [first, last).
"""
import numpy as np

from lsgan.functions.cpu.jit import kernel


@kernel
def from_big(big: np.ndarray, stride: int, top: int, left: int, TY: int, TX: int, first: int, last: int,
             tiles: np.ndarray) -> None:
    """Compute tiles = B^T big B. Zeros pad the images by `top` and `left`, and at the other borders as far as tiles reach."""
    N, H, W, C = big.shape
    step = stride * C                                   # numbers in a group of pixels, one pixel of each phase
    rows = np.zeros((3, (2 * TX + 1) * step), big.dtype)
    nothing = np.zeros(W * C, big.dtype)
    inside = rows[:, left * C:(left + W) * C]
    row0, row1, row2 = inside[0], inside[1], inside[2]
    t = 0
    for n in range(first, last):
        image = big[n].reshape(H, W * C)
        for ty in range(TY):
            for phase in range(stride):
                i = 2 * ty * stride + phase - top
                upper = image[i] if 0 <= i < H else nothing
                middle = image[i + stride] if 0 <= i + stride < H else nothing
                lower = image[i + 2 * stride] if 0 <= i + 2 * stride < H else nothing
                for k in range(row0.size):
                    row0[k] = upper[k] - lower[k]
                for k in range(row1.size):
                    row1[k] = middle[k] + lower[k]
                for k in range(row2.size):
                    row2[k] = lower[k] - middle[k]
                begin, end = phase * step, (phase + 1) * step
                for a in range(3):
                    for tx in range(TX):
                        here = 2 * tx * step
                        p = rows[a, here:here + step]
                        q = rows[a, here + step:here + 2 * step]
                        r = rows[a, here + 2 * step:here + 3 * step]
                        out = tiles[3 * a, t + tx, begin:end]
                        for k in range(step):
                            out[k] = p[k] - r[k]
                        out = tiles[3 * a + 1, t + tx, begin:end]
                        for k in range(step):
                            out[k] = q[k] + r[k]
                        out = tiles[3 * a + 2, t + tx, begin:end]
                        for k in range(step):
                            out[k] = r[k] - q[k]
            t += TX


@kernel
def from_small(small: np.ndarray, TY: int, TX: int, first: int, last: int, tiles: np.ndarray) -> None:
    """Compute tiles = A small A^T."""
    N, h, w, F = small.shape
    rows = np.zeros((3, 2 * TX * F), small.dtype)
    nothing = np.zeros(w * F, small.dtype)
    t = 0
    for n in range(first, last):
        image = small[n].reshape(h, w * F)
        for ty in range(TY):
            upper = image[2 * ty]
            lower = image[2 * ty + 1] if 2 * ty + 1 < h else nothing
            row0, row1, row2 = rows[0], rows[1], rows[2]
            for k in range(w * F):
                row0[k] = upper[k]
            for k in range(w * F):
                row1[k] = upper[k] + lower[k]
            for k in range(w * F):
                row2[k] = upper[k] - lower[k]
            for a in range(3):
                for tx in range(TX):
                    p = rows[a, 2 * tx * F:(2 * tx + 1) * F]
                    q = rows[a, (2 * tx + 1) * F:(2 * tx + 2) * F]
                    out = tiles[3 * a, t + tx]
                    for k in range(F):
                        out[k] = p[k]
                    out = tiles[3 * a + 1, t + tx]
                    for k in range(F):
                        out[k] = p[k] + q[k]
                    out = tiles[3 * a + 2, t + tx]
                    for k in range(F):
                        out[k] = p[k] - q[k]
            t += TX


@kernel
def to_small(tiles: np.ndarray, bias: np.ndarray, TY: int, TX: int, first: int, last: int, small: np.ndarray) -> None:
    """Compute small = A^T tiles A + bias."""
    N, h, w, F = small.shape
    rows = np.empty((3, F), small.dtype)
    t = 0
    for n in range(first, last):
        for ty in range(TY):
            for tx in range(TX):
                for i in range(min(2, h - 2 * ty)):
                    for b in range(3):
                        row = rows[b]
                        q = tiles[3 + b, t]
                        r = tiles[6 + b, t]
                        if i:
                            for k in range(F):
                                row[k] = q[k] - r[k]
                        else:
                            p = tiles[b, t]
                            for k in range(F):
                                row[k] = p[k] + (q[k] + r[k])
                    p, q, r = rows[0], rows[1], rows[2]
                    out = small[n, 2 * ty + i, 2 * tx]
                    for k in range(F):
                        out[k] = p[k] + (q[k] + r[k]) + bias[k]
                    if 2 * tx + 1 < w:
                        out = small[n, 2 * ty + i, 2 * tx + 1]
                        for k in range(F):
                            out[k] = q[k] - r[k] + bias[k]
                t += 1


@kernel
def to_big(tiles: np.ndarray, bias: np.ndarray, stride: int, top: int, left: int, TY: int, TX: int, first: int, last: int,
           big: np.ndarray) -> None:
    """Compute big = B tiles B^T + bias, and leave out the padding."""
    N, H, W, C = big.shape
    step = stride * C
    rows = np.zeros((3, TX, step), big.dtype)
    line = np.zeros((2 * TX + 1) * step, big.dtype)
    start = left * C
    length = min(W * C, line.size - start)
    for n in range(first, last):
        base = (n - first) * TY * TX
        for i in range(H):
            group, phase = divmod(i + top, stride)
            ty = group // 2
            begin, end = phase * step, (phase + 1) * step
            if group > 2 * TY:
                line[:] = 0
            else:
                for b in range(3):
                    for tx in range(TX):
                        row = rows[b, tx]
                        if group % 2:
                            q = tiles[3 + b, base + ty * TX + tx, begin:end]
                            r = tiles[6 + b, base + ty * TX + tx, begin:end]
                            for k in range(step):
                                row[k] = q[k] - r[k]
                        elif group == 0:
                            p = tiles[b, base + tx, begin:end]
                            for k in range(step):
                                row[k] = p[k]
                        else:
                            p = tiles[b, base + (ty - 1) * TX + tx, begin:end]
                            q = tiles[3 + b, base + (ty - 1) * TX + tx, begin:end]
                            r = tiles[6 + b, base + (ty - 1) * TX + tx, begin:end]
                            for k in range(step):
                                row[k] = q[k] + r[k] - p[k]
                            if ty < TY:
                                p = tiles[b, base + ty * TX + tx, begin:end]
                                for k in range(step):
                                    row[k] += p[k]
                for tx in range(TX + 1):
                    out = line[2 * tx * step:(2 * tx + 1) * step]
                    if tx:
                        p, q, r = rows[0, tx - 1], rows[1, tx - 1], rows[2, tx - 1]
                        for k in range(step):
                            out[k] = q[k] + r[k] - p[k]
                    else:
                        out[:] = 0
                    if tx < TX:
                        p, q, r = rows[0, tx], rows[1, tx], rows[2, tx]
                        for k in range(step):
                            out[k] += p[k]
                        out = line[(2 * tx + 1) * step:(2 * tx + 2) * step]
                        for k in range(step):
                            out[k] = q[k] - r[k]
            image = big[n, i]
            for j in range(W):
                out = image[j]
                if j * C < length:
                    p = line[start + j * C:start + (j + 1) * C]
                    for k in range(C):
                        out[k] = p[k] + bias[k]
                else:
                    for k in range(C):
                        out[k] = bias[k]


@kernel
def from_weights(W: np.ndarray, stride: int, first: int, last: int, tiles: np.ndarray) -> None:
    """Compute tiles[:, first:last] = G W G^T, an array (9, F, s*s*C) from weights (F, C, 2s, 2s)."""
    F, C, K, _ = W.shape
    half = np.float32(0.5)     # exact in every type
    taps = np.empty((K * K, C), W.dtype)
    rows = np.empty((3, 2, C), W.dtype)
    for o in range(first, last):
        flat = W[o].reshape(C, K * K)
        for c in range(C):
            for k in range(K * K):
                taps[k, c] = flat[c, k]
        for py in range(stride):
            for px in range(stride):
                for j in range(2):
                    p = taps[py * K + px + j * stride]
                    q = taps[(py + stride) * K + px + j * stride]
                    for c in range(C):
                        rows[0, j, c] = p[c]
                    for c in range(C):
                        rows[1, j, c] = half * (p[c] + q[c])
                    for c in range(C):
                        rows[2, j, c] = half * (p[c] - q[c])
                begin = (py * stride + px) * C
                for a in range(3):
                    p, q = rows[a, 0], rows[a, 1]
                    out = tiles[3 * a, o, begin:begin + C]
                    for c in range(C):
                        out[c] = p[c]
                    out = tiles[3 * a + 1, o, begin:begin + C]
                    for c in range(C):
                        out[c] = half * (p[c] + q[c])
                    out = tiles[3 * a + 2, o, begin:begin + C]
                    for c in range(C):
                        out[c] = half * (p[c] - q[c])


@kernel
def to_weights(tiles: np.ndarray, stride: int, first: int, last: int, W: np.ndarray) -> None:
    """Compute W[first:last] = G^T tiles G, weights (F, C, 2s, 2s) from an array (9, F, s*s*C)."""
    F, C, K, _ = W.shape
    half = np.float32(0.5)     # exact in every type
    taps = np.empty((K * K, C), W.dtype)
    rows = np.empty((2, 3, C), W.dtype)
    for o in range(first, last):
        for py in range(stride):
            for px in range(stride):
                begin = (py * stride + px) * C
                for b in range(3):
                    p = tiles[b, o, begin:begin + C]
                    q = tiles[3 + b, o, begin:begin + C]
                    r = tiles[6 + b, o, begin:begin + C]
                    for c in range(C):
                        rows[0, b, c] = p[c] + half * (q[c] + r[c])
                    for c in range(C):
                        rows[1, b, c] = half * (q[c] - r[c])
                for i in range(2):
                    p, q, r = rows[i, 0], rows[i, 1], rows[i, 2]
                    out = taps[(py + i * stride) * K + px]
                    for c in range(C):
                        out[c] = p[c] + half * (q[c] + r[c])
                    out = taps[(py + i * stride) * K + px + stride]
                    for c in range(C):
                        out[c] = half * (q[c] - r[c])
        flat = W[o].reshape(C, K * K)
        for c in range(C):
            for k in range(K * K):
                flat[c, k] = taps[k, c]
