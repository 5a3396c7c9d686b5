"""Fast versions of Chainer functions and optimizers, with the same results up to rounding."""
from lsgan.functions.activation import activation
from lsgan.functions.convolution import convolution_2d, deconvolution_2d
from lsgan.functions.means import each_mean, half_squared_error, mean_softplus, signed_mean, split
from lsgan.functions.normalization import batch_normalization, fixed_batch_normalization
from lsgan.functions.optimizers import SGD, Adam, RMSprop
from lsgan.functions.perceptron import linear, perceptron
from lsgan.functions.upsampling import depth_to_space, repeat

__all__ = ['SGD', 'Adam', 'RMSprop', 'activation', 'batch_normalization', 'convolution_2d', 'deconvolution_2d',
           'depth_to_space', 'each_mean', 'fixed_batch_normalization', 'half_squared_error', 'linear', 'mean_softplus',
           'perceptron', 'repeat', 'signed_mean', 'split']
