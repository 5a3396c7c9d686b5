"""The metrics of MNIST and similar sets: Fréchet distance and classes by a classifier, and nearest training images."""
import functools

import numpy

from lsgan.datasets.images import scaled, to_bytes
from lsgan.errors import InputError
from lsgan.metrics.classes import class_shares, class_statistics, stack_statistics
from lsgan.metrics.frechet import frechet_distance
from lsgan.metrics.nearest import nearest_distance
from lsgan.networks.judge import load_judge
from lsgan.types import PathLike

_MOST, _SEARCHED = 10000, 500       # at most: real images to compare with, and samples whose nearest neighbour is searched


class Judgement:
    """The metrics of grey images, most of them by a small classifier, the *judge*.

    Samples can be colour images whose channels are stacked grey images, see `lsgan.datasets.images.StackedSet`. Then each
    channel is measured as an image of its own, and the modes, the combinations of the channels' classes, are counted, too.

    What depends on the real images alone is computed once, when it is first needed.

    Args:
        train: training images, uint8 array of shape (N, 1, H, W).
        test: test images, uint8 array of shape (M, 1, H, W), or None. Without test images, the last training images serve as
            such: half of them, but at most 10,000. The floor of the Fréchet distance is then computed from the other training
            images. The nearest image is still searched among all training images.
        labels: labels of the test images, or of the training images if `test` is None; a uint8 array, or None.
        judge: npz file with the weights of a `lsgan.networks.judge.Judge`, or None for the judge of digits that comes with
            lsgan. That one is not used for images that it does not know: images that are not 28x28 pixels, or images for
            which less than 90% of its predictions agree with the labels.

    Attributes:
        left_out (str): why the judge is not used, so that Fréchet distance and classes are missing; None if it is used.
        sure (bool): whether `judge` or `labels` are given. Otherwise nothing shows that the judge knows these images.

    Raises:
        InputError: if there are too few images, if `judge` cannot be read, or if it is given and the images are not 28x28.
    """

    def __init__(self, train: numpy.ndarray, test: numpy.ndarray | None = None, labels: numpy.ndarray | None = None,
                 judge: PathLike | None = None):
        self._learnt, alone = train, test is None
        if test is None:
            half = max(len(train) // 2, len(train) - _MOST)
            train, test, labels = train[:half], train[half:], None if labels is None else labels[half:]
        if min(len(train), len(test)) < 2:
            raise InputError(f'too few images for the metrics: {len(self._learnt):,} for training'
                             f'{"" if alone else f" and {len(test):,} for testing"}. Add images: at least 2 for training and '
                             '2 for testing, or 4 for training alone')
        self.train, self.test = train, test[:_MOST]
        self._floors: dict[int, float] = {}
        fits = train.shape[1:] == (1, 28, 28)
        if judge and not fits:
            raise InputError(f'--judge {judge}: a judge needs images of 28 x 28 pixels, and these are '
                             f'{train.shape[2]} x {train.shape[3]}; leave --judge out')
        self.sure = bool(judge) or labels is not None
        self.left_out = None if fits else 'the judge needs images of 28 x 28 pixels'
        if fits:
            try:
                self._judge = load_judge(judge)
            except InputError as error:
                hint = '; pass a file that results/mnist/judge.py has written to --judge' * bool(judge)
                raise InputError(f'{error}{hint}') from None
            if not judge and labels is not None:
                some = slice(0, 500)
                told = self._judge.look(scaled(self.test[some]))[1].argmax(axis=1) == labels[some]
                if told.mean() < 0.9:
                    self.left_out = ('the judge knows upright digits only, and the labels show that these images are none. '
                                     'Train a judge for them with results/mnist/judge.py --data DIR --out FILE, and pass it '
                                     'with --judge FILE')

    def shares(self, samples: numpy.ndarray) -> tuple[numpy.ndarray, numpy.ndarray]:
        """Return the fraction of samples in each class, and the fraction of test images in each class.

        Args:
            samples: NumPy float array of shape (N, C, 28, 28) in [-1, 1]. Each channel counts as a sample.

        Returns:
            Two float64 arrays of shape (K,), each with sum 1.

        Raises:
            InputError: if the judge is not used, see `left_out`.
        """
        if self.left_out:
            raise InputError(f'no classes: {self.left_out}')
        return class_shares(self._judge.look(self._grey(samples))[1]), self._real_shares

    def _grey(self, samples):
        """Return the channels of samples (N, C, H, W) as grey images (N C, 1, H, W)."""
        return samples.reshape(-1, *self.train.shape[1:])

    @functools.cached_property
    def _real(self):
        return self._judge.look(scaled(self.test))

    @functools.cached_property
    def _real_shares(self):
        return class_shares(self._real[1])

    def _floor(self, n):
        """Return the Fréchet distance of n training images. It is larger for smaller n, as it is for samples."""
        if n not in self._floors:
            self._floors = {n: frechet_distance(self._judge.look(scaled(self.train[:n]))[0], self._real[0])}
        return self._floors[n]

    @functools.cached_property
    def _nearest_real(self):
        return nearest_distance(self.test[:_SEARCHED], self.train)

    def _modes(self, labels):
        """Return the statistics of stacked images with these labels (N, C), and those of N random stacks of test images."""
        real = numpy.random.default_rng(0).choice(self._real[1].argmax(axis=1), labels.shape)
        numbers, of_real = (stack_statistics(each, len(self._real_shares)) for each in (labels, real))
        return {**numbers, **{f'{name}_real': of_real[name] for name in ('modes_seen', 'mode_kl')}}

    def metrics(self, samples: numpy.ndarray) -> dict[str, float]:
        """Measure samples against the real images.

        Args:
            samples: NumPy float array of shape (N, C, H, W) in [-1, 1]. If C is above 1, the samples are stacked: each channel
                counts as a grey sample, except in the statistics of the modes.

        Returns:
            dict:

            - `frechet_distance`: distance between the judge's features of at most 10,000 samples and of test images.
            - `frechet_distance_floor`: distance between as many training images and the test images.
            - the items of `lsgan.metrics.classes.class_statistics`.
            - for stacked samples, the items of `lsgan.metrics.classes.stack_statistics`, and `modes_seen_real` and
              `mode_kl_real`, the values of N random stacks of test images. Without a judge, all of these are missing.
            - `nearest_distance`, `nearest_distance_real`: mean Euclidean distance of the first 500 samples, and of the first
              500 test images, to the nearest training image, over all pixels, in grey levels (0 to 255).
            - `saturated`: fraction of pixels below -0.99 or above 0.99, 0 to 1.
        """
        numbers, grey = {}, self._grey(samples)
        if not self.left_out:
            features, probabilities = self._judge.look(grey)
            numbers = {'frechet_distance': frechet_distance(features[:_MOST], self._real[0]),
                       'frechet_distance_floor': self._floor(min(len(grey), _MOST)),
                       **class_statistics(probabilities, self._real_shares)}
            if len(grey) > len(samples):
                numbers |= self._modes(probabilities.argmax(axis=1).reshape(samples.shape[:2]))
        return {**numbers, 'nearest_distance': nearest_distance(to_bytes(grey[:_SEARCHED]), self._learnt),
                'nearest_distance_real': self._nearest_real, 'saturated': float((numpy.abs(samples) > 0.99).mean())}
