"""What kernels that reduce over many rows share: sums over rows by several blocks, finished by the block that ends last."""
import functools

from chainer.backends import cuda

# A launch of this shape reduces the rows of a matrix: threads (across, down) of a block take `across` columns
THREADS = 256           # in a block
BLOCKS = 512            # in a launch, about, if there are enough rows: some for each multiprocessor of a large GPU
ROWS = 8                # rows that are worth a thread
_TICKETS = 1 << 16

TICKET = r'''
// For one thread of each block: count the block, and return whether it is the last of `blocks`, which resets the ticket.
template <class Count> __device__ bool arrives_last(Count *ticket, unsigned blocks) {
    bool last = atomicAdd(ticket, Count(1)) == blocks - 1;
    if (last) *ticket = 0;
    return last;
}
'''

SOURCE = TICKET + r'''
// Whether the calling block is the last of `blocks` to arrive; it sees what the others wrote before, and resets the ticket.
__device__ bool is_last(unsigned *ticket, unsigned blocks) {
    __shared__ bool last;
    __threadfence();
    __syncthreads();
    if (threadIdx.x == 0 && threadIdx.y == 0) last = arrives_last(ticket, blocks);
    __syncthreads();
    __threadfence();
    return last;
}
// The sum over the threads (x, 0), (x, 1), ... of the block, the same for all of them. Their number is a power of two.
__device__ double over_rows(double value, double *shared) {
    int lines = blockDim.y, across = blockDim.x, x = threadIdx.x, y = threadIdx.y;
    __syncthreads();
    shared[y * across + x] = value;
    for (int half = lines / 2; half; half /= 2) {
        __syncthreads();
        if (y < half) shared[y * across + x] += shared[(y + half) * across + x];
    }
    __syncthreads();
    return shared[x];
}
'''


@functools.cache
def _tickets(device):
    return cuda.cupy.zeros(_TICKETS, 'uint32')


def tickets():
    """Return the zeros of the current device that blocks count their arrivals in; every launch leaves zeros behind."""
    return _tickets(cuda.cupy.cuda.device.get_device_id())


def shape_of(rows, columns, batches=1):
    """Return how a launch covers the rows of matrices: the threads of a block, and the blocks.

    Args:
        rows (int): rows of each matrix.
        columns (int): columns of each matrix.
        batches (int): matrices.

    Returns:
        tuple: threads (across, down), powers of two, and blocks (groups of columns, chunks of rows, batches).
    """
    across = 1
    while across < min(columns, 32):
        across *= 2
    down = THREADS // across
    groups = -(-columns // across)
    chunks = max(1, min(BLOCKS // (groups * batches), -(-rows // (down * ROWS))))
    return (across, down), (groups, chunks, batches)
