"""Convolution of any geometry as one matrix product, on the GPU: every window becomes a row (im2col), and back (col2im).

Images are stored as (N, height, width, channels) and columns as (N, h, w, kh, kw, C). Weights have the shape (O, C, kh, kw)
but are stored as (O, kh, kw, C). A row of a window has kw pixels. It is a contiguous piece of kw * C numbers in the image.
"""
import math

from chainer.backends import cuda

from lsgan.functions.gpu.blas import product
from lsgan.functions.gpu.kernel import NULL, THREADS, Kernel, blocks_for
from lsgan.functions.way import Way

_WIDTHS = 4, 1      # numbers that a thread moves at once: four if the number of channels and the alignment allow it
_BLOCKS = 4096      # the most blocks that add a bias: several for each multiprocessor of a large GPU

_GEOMETRY = '''
struct __align__(WIDTH * sizeof(T)) V { T v[WIDTH]; };
typedef long long Int;

// height, width and channels (counted in V) of the big image; kernel, stride, padding; height and width of the small image
#define GEOMETRY Int H, Int W, Int C, Int kh, Int kw, Int sy, Int sx, Int ph, Int pw, Int h, Int w
'''


def _kernels(source):
    """Return the kernel for each width. The type `V` in its source holds that many numbers."""
    return {width: Kernel(f'#define WIDTH {width}\n{_GEOMETRY}{source}') for width in _WIDTHS}


_IM2COL = _kernels('''
// Fill columns with the window of each position of the small image, zero outside the big one. A block does a row of positions.
extern "C" __global__ void im2col(const V *big, V *columns, GEOMETRY) {
    const unsigned length = kw * C, window = kh * length;
    const unsigned n = blockIdx.x / (unsigned)h, y = blockIdx.x % (unsigned)h;
    const V *image = big + n * H * W * C, zero = {};
    V *out = columns + blockIdx.x * w * window;
    for (unsigned i = threadIdx.x; i < w * window; i += blockDim.x) {
        const unsigned k = i / length, x = k / (unsigned)kh;
        const Int row = y * sy - ph + k % (unsigned)kh, at = (x * sx - pw) * C + i % length;
        out[i] = 0 <= row && row < H && 0 <= at && at < W * C ? image[row * W * C + at] : zero;
    }
}
''')

_COL2IM = _kernels('''
// Fill big with the sum of all windows, each where im2col takes it from, plus the bias, if any. A block does a row of pixels.
extern "C" __global__ void col2im(const V *columns, const V *bias, V *big, GEOMETRY) {
    const unsigned n = blockIdx.x / (unsigned)H, i = blockIdx.x % (unsigned)H + ph;
    const V *windows = columns + n * h * w * kh * kw * C;
    V *out = big + blockIdx.x * W * C;
    for (unsigned k = threadIdx.x; k < W * C; k += blockDim.x) {
        const unsigned c = k % (unsigned)C, j = k / (unsigned)C + pw;
        V total = {};
        for (int ky = i % (unsigned)sy, y = i / (unsigned)sy; ky < kh && y >= 0; ky += sy, --y)
            for (int kx = j % (unsigned)sx, x = j / (unsigned)sx; kx < kw && x >= 0; kx += sx, --x)
                if (y < h && x < w) {
                    const V part = windows[(((y * w + x) * kh + ky) * kw + kx) * C + c];
                    for (int l = 0; l < WIDTH; ++l) total.v[l] += part.v[l];
                }
        if (bias)
            for (int l = 0; l < WIDTH; ++l) total.v[l] += bias[c].v[l];
        out[k] = total;
    }
}
''')

_ADD_BIAS = _kernels('''
// Add a bias (C,) to rows (R, C). The threads of a block are channels x rows.
extern "C" __global__ void add_bias(V *rows, const V *bias, Int R, Int C) {
    for (Int r = blockIdx.x * (Int)blockDim.y + threadIdx.y; r < R; r += gridDim.x * blockDim.y)
        for (Int c = threadIdx.x; c < C; c += blockDim.x) {
            V value = rows[r * C + c];
            for (int l = 0; l < WIDTH; ++l) value.v[l] += bias[c].v[l];
            rows[r * C + c] = value;
        }
}
''')


def _width(C, *arrays):
    """Return how many of the C channels a thread can move at once."""
    return next(width for width in _WIDTHS if C % width == 0
                and all(x.data.ptr % (width * x.itemsize) == 0 for x in arrays if x is not None))


def _block(C):
    """Return the shape of a block of threads, channels x rows. Neighbouring threads read neighbouring memory."""
    across = min(C, 32)
    return across, THREADS // across


def add_bias(rows, bias):
    """Add a bias (C,) to rows (..., C), in place."""
    C = len(bias)
    width = _width(C, rows, bias)
    block = _block(C // width)
    R = rows.size // C
    _ADD_BIAS[width](rows.dtype, blocks_for(R, block[1], _BLOCKS), (rows, bias, R, C // width), block)


class Columns(Way):
    """Convolution by im2col and matrix products."""

    def __init__(self, geometry, W):
        super().__init__(geometry, W)
        self.W = cuda.cupy.ascontiguousarray(W.transpose(0, 2, 3, 1))   # no copy if channels are last in memory

    def run(self, big, small, bias, image, weights):
        columns = self._columns(big) if weights or image == 'small' else None
        made = self._small(columns, bias) if image == 'small' else self._big(small, bias) if image == 'big' else None
        return made, self._weights(columns, small) if weights else None

    def _numbers(self, width):
        geometry = self.geometry
        return *geometry.big, self.C // width, *geometry.kernel, *geometry.stride, *geometry.pad, *geometry.small

    def _matrix(self):
        return self.W.reshape(self.O, -1)

    def _columns(self, big):
        rows = len(big) * math.prod(self.geometry.small)
        columns = cuda.cupy.empty((rows, self.W.size // self.O), self.dtype)
        width = _width(self.C, big)
        _IM2COL[width](self.dtype, len(big) * self.geometry.small[0], (big, columns, *self._numbers(width)))
        return columns

    def _small(self, columns, bias):
        small = product(columns, self._matrix().T).reshape(-1, *self.geometry.small, self.O)
        if bias is not None:
            add_bias(small, bias)
        return small

    def _big(self, small, bias):
        columns = product(small.reshape(-1, self.O), self._matrix())
        big = cuda.cupy.empty((len(small), *self.geometry.big, self.C), self.dtype)
        width = _width(self.C, bias)
        _COL2IM[width](self.dtype, len(big) * self.geometry.big[0],
                       (columns, NULL if bias is None else bias, big, *self._numbers(width)))
        return big

    def _weights(self, columns, small):
        gW = product(small.reshape(-1, self.O).T, columns)
        return gW.reshape(self.W.shape).transpose(0, 3, 1, 2)
