"""An endless iterator of random batches."""
import chainer


class SampleIterator(chainer.dataset.Iterator):
    """An endless iterator of batches that are drawn independently of each other.

    Args:
        data: data set with a method `sample(n, stream)`, which draws an array of `n` examples on the device of the stream. A
            true attribute `on_device` tells that drawing on a GPU neither copies from main memory nor waits.
        batch_size (int): number of examples per batch.
        stream (lsgan.random.Stream): source of random numbers.
        epoch_size (int): number of batches that count as one epoch.
    """

    repeat = True

    def __init__(self, data, batch_size, stream, epoch_size):
        self.data, self.batch_size, self.stream, self.epoch_size = data, batch_size, stream, epoch_size
        self.batches = 0

    def __next__(self):
        self.count_batches(1)
        return self.data.sample(self.batch_size, self.stream)

    def count_batches(self, n):
        """Count `n` more batches. A replayed CUDA graph draws batches without calling the iterator."""
        self.batches += n

    @property
    def on_device(self):
        """Whether batches are drawn in device memory alone. Only then can a CUDA graph draw them."""
        return getattr(self.data, 'on_device', False)

    @property
    def epoch(self):
        return self.batches // self.epoch_size

    @property
    def epoch_detail(self):
        return self.batches / self.epoch_size

    @property
    def is_new_epoch(self):
        return self.batches > 0 and self.batches % self.epoch_size == 0

    def serialize(self, serializer):
        self.batches = int(serializer('batches', self.batches))
        self.stream.serialize(serializer['stream'])
