"""Batches drawn without end on the training device."""
import chainer


class SampleIterator(chainer.dataset.Iterator):
    """Batches, each drawn independently of all others, for ever; an epoch is a number of batches.

    Args:
        data: has the method `sample(n, stream)`, which draws an array of `n` examples on the stream's device. If it has an
            attribute `on_device` that is true, drawing on a GPU neither copies from main memory nor waits.
        batch_size (int): examples in a batch.
        stream (lsgan.random.Stream): where the randomness comes from.
        epoch_size (int): batches that count as an epoch.
    """

    repeat = True

    def __init__(self, data, batch_size, stream, epoch_size):
        self.data, self.batch_size, self.stream, self.epoch_size = data, batch_size, stream, epoch_size
        self.batches = 0

    def __next__(self):
        self.count_batches(1)
        return self.data.sample(self.batch_size, self.stream)

    def count_batches(self, n):
        """Take note of n more batches, which a replayed CUDA graph has drawn."""
        self.batches += n

    @property
    def on_device(self):
        """Whether batches are drawn in device memory alone, so that a CUDA graph can draw them."""
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
