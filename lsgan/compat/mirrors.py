"""Mirrors for the files of MNIST and Fashion-MNIST, whose addresses in Chainer 7.8.1 are gone."""
import os
import sys


def fetch(url: str, root: str) -> str | None:
    """Return the path of a file of MNIST or Fashion-MNIST in Chainer's cache. Download it from a mirror if it is missing.

    Args:
        url: address of the file in Chainer 7.8.1.
        root: root folder of Chainer's cache, by default `~/.chainer/dataset`.

    Returns:
        The path, or None if `url` is any other address.

    Raises:
        InputError: if no mirror provides the file, or if the cache contains another file of this name.
        OSError: if the disk is full or the folder cannot be written.
    """
    # imported here, because lsgan.datasets imports Chainer, which imports this module
    from lsgan.datasets import download, mnist
    place, _, name = url.rpartition('/')
    folder, mirrors, sha256 = {
        'http://yann.lecun.com/exdb/mnist': ('mnist', mnist.MIRRORS, mnist.SHA256),
        'http://fashion-mnist.s3-website.eu-central-1.amazonaws.com':
            ('fashion-mnist', mnist.FASHION_MIRRORS, mnist.FASHION_SHA256),
    }.get(place, ('', (), {}))
    if name in sha256:
        folder = os.path.join(root, 'pfnet', 'chainer', folder)     # where Chainer keeps the set made from these files
        return str(download.fetch(name, mirrors, sha256[name], folder, stream=sys.stderr))
    return None
