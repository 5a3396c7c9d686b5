"""Fast Chainer functions and optimizers: the arithmetic of Chainer's own, less of its bookkeeping."""
from lsgan.functions.means import half_squared_error, mean_softplus
from lsgan.functions.optimizers import Adam, RMSprop
from lsgan.functions.perceptron import perceptron

__all__ = ['Adam', 'RMSprop', 'half_squared_error', 'mean_softplus', 'perceptron']
