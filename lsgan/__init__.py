"""Least Squares GANs (Mao et al. 2017, arXiv:1611.04076) in Chainer.

Import this package before Chainer. It makes the stock Chainer 7.8.1 work with current versions of Python, NumPy and CuPy.
"""
from lsgan import compat

__version__ = '1.0.0'

compat.install()
