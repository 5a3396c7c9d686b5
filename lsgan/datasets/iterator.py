"""An endless iterator of random batches."""
from typing import Protocol

import chainer
from chainer.types import NdArray

from lsgan.random import Stream


class DataSet(Protocol):
    """The interface of data sets that draw batches themselves.

    A true attribute `on_device` tells that drawing on a GPU neither copies from main memory nor waits.
    """

    def sample(self, n: int, stream: Stream) -> NdArray:
        """Draw an array of `n` examples, on the device of the stream."""
        ...


class SampleIterator(chainer.dataset.Iterator):
    """An endless iterator of batches that are drawn independently of each other.

    Args:
        data: the data set.
        batch_size: number of examples per batch.
        stream: source of random numbers.
        epoch_size: number of batches that count as one epoch.
    """

    repeat = True

    def __init__(self, data: DataSet, batch_size: int, stream: Stream, epoch_size: int):
        self.data, self.batch_size, self.stream, self.epoch_size = data, batch_size, stream, epoch_size
        self.batches = 0

    def __next__(self) -> NdArray:
        self.count_batches(1)
        return self.data.sample(self.batch_size, self.stream)

    def count_batches(self, n: int) -> None:
        """Count `n` more batches. A replayed CUDA graph draws batches without calling the iterator."""
        self.batches += n

    @property
    def on_device(self) -> bool:
        """Whether batches are drawn in device memory alone. Only then can a CUDA graph draw them."""
        return getattr(self.data, 'on_device', False)

    @property
    def epoch(self) -> int:
        return self.batches // self.epoch_size

    @property
    def epoch_detail(self) -> float:
        return self.batches / self.epoch_size

    @property
    def is_new_epoch(self) -> bool:
        return self.batches > 0 and self.batches % self.epoch_size == 0

    def serialize(self, serializer: chainer.AbstractSerializer) -> None:
        self.batches = int(serializer('batches', self.batches))
        self.stream.serialize(serializer['stream'])
