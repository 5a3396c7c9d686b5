"""What a classifier says of samples, held against real images."""
import functools

import numpy

from lsgan.datasets.images import scaled, to_bytes
from lsgan.errors import InputError
from lsgan.metrics.classes import class_shares, class_statistics
from lsgan.metrics.frechet import frechet_distance
from lsgan.metrics.nearest import nearest_distance
from lsgan.networks.judge import load_judge

_MOST, _SEARCHED = 10000, 500       # real images that are compared with, samples whose nearest training image is searched


class Judgement:
    """The metrics of image experiments; what they need of real images is computed once, when it is first needed.

    Args:
        train, test: uint8 arrays of shapes (N, 1, H, W) and (M, 1, H, W).
        judge: npz file of a `lsgan.networks.judge.Judge`, or None for the one that comes along, which sees images of 28x28
            only: others are measured without.

    Raises:
        InputError: where `judge` cannot be read, or is given and the images are of another size.
    """

    def __init__(self, train, test, judge=None):
        fits = train.shape[1:] == (1, 28, 28)
        if judge and not fits:
            raise InputError(f'--judge {judge}: sees images of 28 x 28 pixels, not of {train.shape[2]} x {train.shape[3]}')
        self.train, self.test = train, test[:_MOST]
        self.judge = load_judge(judge) if fits else None

    def probabilities(self, samples):
        """The judge's, of the classes of samples (N, 1, 28, 28) in [-1, 1]: (N, K)."""
        return self.judge.look(samples)[1]

    @functools.cached_property
    def _real(self):
        return self.judge.look(scaled(self.test))

    @functools.cached_property
    def real_shares(self):
        """The share of the test images that the judge gives each class: (K,)."""
        return class_shares(self._real[1])

    @functools.cached_property
    def _floor(self):
        return frechet_distance(self.judge.look(scaled(self.train[:_MOST]))[0], self._real[0])

    @functools.cached_property
    def _nearest_real(self):
        return nearest_distance(self.test[:_SEARCHED], self.train)

    def metrics(self, samples):
        """Numbers of samples, a NumPy array (N, 1, H, W) in [-1, 1].

        Returns:
            dict: `frechet_distance` to the test images, between features of the judge, and its floor, that of training images;
            what `lsgan.metrics.classes.class_statistics` gives; `nearest_distance` of the first 500 samples to the training
            images, and that of test images, `nearest_distance_real`, in grey levels (0..255) of all pixels together;
            `saturated`, the share of pixels beyond 0.99 on either side.
        """
        numbers = {}
        if self.judge:
            features, probabilities = self.judge.look(samples)
            numbers = {'frechet_distance': frechet_distance(features, self._real[0]), 'frechet_distance_floor': self._floor,
                       **class_statistics(probabilities, self.real_shares)}
        return {**numbers, 'nearest_distance': nearest_distance(to_bytes(samples[:_SEARCHED]), self.train),
                'nearest_distance_real': self._nearest_real, 'saturated': float((numpy.abs(samples) > 0.99).mean())}
