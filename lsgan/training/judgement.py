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
        train, test: uint8 arrays of shapes (N, 1, H, W) and (M, 1, H, W). Where there is no test set, None, the last training
            images, up to half of them, are compared with, and the floor is that of the others; but samples may be near any.
        labels: of the test images, or of the training images where there is no test set: a uint8 array, or None.
        judge: npz file of a `lsgan.networks.judge.Judge`, or None for the one that comes along. That is left out where it
            would judge what it does not know: images that are not of 28x28, or of which it tells less than 90% as their
            labels do.

    Attributes:
        left_out (str): why there is no Fréchet distance and there are no classes, or None where there are.
        sure (bool): whether the judge is given, or labels have told whether it knows these images.

    Raises:
        InputError: where `judge` cannot be read, or is given and the images are of another size, or these are too few.
    """

    def __init__(self, train, test=None, labels=None, judge=None):
        self._learnt, alone = train, test is None
        if alone:
            half = max(len(train) // 2, len(train) - _MOST)
            train, test, labels = train[:half], train[half:], None if labels is None else labels[half:]
        if min(len(train), len(test)) < 2:
            raise InputError(f'too few images to measure anything, {len(self._learnt):,} for training'
                             f'{"" if alone else f" and {len(test):,} for testing"}; the least are 2 for training and 2 for '
                             'testing, or 4 for training alone')
        self.train, self.test, self._floors = train, test[:_MOST], {}
        fits = train.shape[1:] == (1, 28, 28)
        if judge and not fits:
            raise InputError(f'--judge {judge}: sees images of 28 x 28 pixels, not of {train.shape[2]} x {train.shape[3]}')
        self.sure = bool(judge) or labels is not None
        self.left_out = None if fits else 'judges see images of 28 x 28 pixels only'
        if fits:
            try:
                self._judge = load_judge(judge)
            except InputError as error:
                hint = '; --judge names a file that results/mnist/judge.py has made' * bool(judge)
                raise InputError(f'{error}{hint}') from None
            if not judge and labels is not None:
                some = slice(0, 500)
                told = self._judge.look(scaled(self.test[some]))[1].argmax(axis=1) == labels[some]
                if told.mean() < 0.9:
                    self.left_out = ('the judge knows upright digits, and not these images: results/mnist/judge.py --data DIR '
                                     '--out FILE trains one for them, for --judge FILE')

    def shares(self, samples):
        """The share of samples (N, 1, 28, 28) in [-1, 1] that the judge gives each class, and that of test images: (K,), (K,).

        Raises:
            InputError: where the judge is left out.
        """
        if self.left_out:
            raise InputError(f'no classes: {self.left_out}')
        return class_shares(self._judge.look(samples)[1]), self._real_shares

    @functools.cached_property
    def _real(self):
        return self._judge.look(scaled(self.test))

    @functools.cached_property
    def _real_shares(self):
        return class_shares(self._real[1])

    def _floor(self, n):
        """The distance of n training images: that of a few is larger, as that of a few samples is."""
        if n not in self._floors:
            self._floors = {n: frechet_distance(self._judge.look(scaled(self.train[:n]))[0], self._real[0])}
        return self._floors[n]

    @functools.cached_property
    def _nearest_real(self):
        return nearest_distance(self.test[:_SEARCHED], self.train)

    def metrics(self, samples):
        """Numbers of samples, a NumPy array (N, 1, H, W) in [-1, 1].

        Returns:
            dict: `frechet_distance` to the test images, between features of the judge, and its floor, that of as many training
            images, at most 10,000; what `lsgan.metrics.classes.class_statistics` gives; `nearest_distance` of the first 500
            samples to the training images, and that of test images, `nearest_distance_real`, in grey levels (0..255) of all
            pixels together; `saturated`, the share of pixels beyond 0.99 on either side.
        """
        numbers = {}
        if not self.left_out:
            features, probabilities = self._judge.look(samples)
            numbers = {'frechet_distance': frechet_distance(features, self._real[0]),
                       'frechet_distance_floor': self._floor(min(len(samples), _MOST)),
                       **class_statistics(probabilities, self._real_shares)}
        return {**numbers, 'nearest_distance': nearest_distance(to_bytes(samples[:_SEARCHED]), self._learnt),
                'nearest_distance_real': self._nearest_real, 'saturated': float((numpy.abs(samples) > 0.99).mean())}
