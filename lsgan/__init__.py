"""Least Squares GANs (Mao et al. 2017, arXiv:1611.04076) in Chainer, on today's machines.

Importing this package makes the stock Chainer 7.8.1 importable: ``import lsgan`` goes before ``import chainer``.
"""
from lsgan import compat

__version__ = '0.1.0'

compat.install()
