"""Sums over many rows by several blocks; the block that finishes last adds up the partial sums of all blocks."""
import functools

from chainer.backends import cuda

THREADS = 256           # threads in a block
BLOCKS = 512            # approximate number of blocks if there are enough rows: several per multiprocessor of a large GPU
ROWS = 8                # rows per thread below which another thread does not pay off
_TICKETS = 1 << 16

TICKET = r'''
// Count a block, and return whether it is the last of `blocks`, which resets the ticket. One thread of each block calls this.
template <class Count> __device__ bool arrives_last(Count *ticket, unsigned blocks) {
    bool last = atomicAdd(ticket, Count(1)) == blocks - 1;
    if (last) *ticket = 0;
    return last;
}
'''

SOURCE = TICKET + r'''
// Return whether the calling block is the last of `blocks` to arrive. The last one sees all that the others wrote before, and
// resets the ticket.
__device__ bool is_last(unsigned *ticket, unsigned blocks) {
    __shared__ bool last;
    __threadfence();
    __syncthreads();
    if (threadIdx.x == 0 && threadIdx.y == 0) last = arrives_last(ticket, blocks);
    __syncthreads();
    __threadfence();
    return last;
}
// Return the sum over the threads (x, 0), (x, 1), ... of the block to all of them. Their number is a power of two.
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
    """Return the counters, zeros on the current device, in which blocks count their arrivals. Each launch resets them to 0."""
    return _tickets(cuda.cupy.cuda.device.get_device_id())


def shape_of(rows, columns, batches=1):
    """Return the shapes of block and grid of a launch that reduces the rows of matrices.

    Args:
        rows (int): number of rows of each matrix.
        columns (int): number of columns of each matrix.
        batches (int): number of matrices.

    Returns:
        tuple: the threads of a block (columns, rows), powers of two, and the blocks (groups of columns, chunks of rows,
            batches).
    """
    across = 1
    while across < min(columns, 32):
        across *= 2
    down = THREADS // across
    groups = -(-columns // across)
    chunks = max(1, min(BLOCKS // (groups * batches), -(-rows // (down * ROWS))))
    return (across, down), (groups, chunks, batches)
