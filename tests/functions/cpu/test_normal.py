import numpy
import pytest

from lsgan.functions.cpu import jit
from lsgan.functions.cpu.normal import normal


class Bits:
    """Stands for a generator: returns given words, 32 bits each, through its bit generator."""

    def __init__(self, words):
        self.words, self.bit_generator = numpy.asarray(words, numpy.uint32), self

    def random_raw(self, n):
        return self.words[:2 * n].view(numpy.uint64)


@pytest.fixture(params=['kernel', 'NumPy'])
def way(request, monkeypatch):
    if request.param == 'NumPy':
        monkeypatch.setattr(jit, 'AVAILABLE', False)


def expected(first, second):
    radius = numpy.sqrt(-2 * numpy.log(((numpy.asarray(first) >> 8) + 1.0) / 2 ** 24))
    angle = numpy.pi * numpy.asarray(second, numpy.uint32).view(numpy.int32) / 2 ** 31
    return numpy.concatenate([radius * numpy.cos(angle), radius * numpy.sin(angle)])


def test_numbers_follow_box_and_muller(way):
    words = numpy.random.default_rng(3).integers(2 ** 32, size=2000, dtype=numpy.uint32)
    x = normal(Bits(words), 2000)
    assert x.dtype == numpy.float32
    assert numpy.allclose(x, expected(*words.reshape(2, 1000)), rtol=0, atol=3e-6)


@pytest.mark.parametrize('first', [0, 255, 2 ** 31, 2 ** 32 - 1, 3037000499, 3037000600])
@pytest.mark.parametrize('second', [0, 2 ** 30, 2 ** 31 - 1, 2 ** 31, 2 ** 32 - 1])
def test_extreme_bits_give_finite_numbers(way, first, second):
    assert numpy.allclose(normal(Bits([first, second]), 2), expected([first], [second]), rtol=0, atol=3e-6)


@pytest.mark.parametrize('n', [0, 1, 2, 7])
def test_any_count(n):
    assert normal(numpy.random.default_rng(0), n).shape == (n,)
