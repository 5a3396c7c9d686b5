"""What a run folder holds, read back: its experiment, samples of its newest generator, and the pictures of them."""
import contextlib
import functools
import importlib.util
import io
import pathlib
import sys

import chainer
import numpy
import tqdm

from lsgan import console
from lsgan.datasets.images import to_bytes
from lsgan.errors import InputError
from lsgan.figures import images
from lsgan.figures.animation import MOST, animation
from lsgan.metrics.nearest import nearest_images
from lsgan.npz import load_weights
from lsgan.random import analogy, between, loop, mean, near
from lsgan.training import report, snapshot
from lsgan.training.experiment import generate

BATCH, FEW = 500, 50        # samples made at a time, for files and for pictures
FOUND, ACROSS = 30, 10      # samples whose nearest images are shown, and how many of them in a row
SIDE, MOST_SIDE = 8, 20     # samples along a side of the square between four corners: unless asked for, and at most
STOPS, STEPS = 6, 24        # samples that the closed path passes through, and frames from one to the next, unless asked for
FRAME, SECONDS = 256, 0.05  # least side of its frames in pixels, and how long each is seen
NOISE = 0.25                # of the noise near a sum, in units of the latents: the scale in Radford et al. 2016, section 6.3.2


class RunFolder:
    """A run folder, of which no more is read than a picture needs.

    Args:
        path: the folder; must hold config.json.
        scripts (pathlib.Path): where the training scripts are.
        samples (int): how many to draw from the generator; None for as many as the run's own picture or metrics are made of.
        seed (int): of the latents; None for those of the run's own pictures.
        images (list): paths of the real images now, one for MNIST; None for where they were in training.
        judge: npz file of a classifier that judges the samples; None for that of the training.

    Raises:
        InputError: also by each attribute, where what it needs is missing, damaged or of something else.
    """

    def __init__(self, path, scripts, samples=None, seed=None, images=None, judge=None):
        self.path, self._scripts, self._n, self._seed = pathlib.Path(path), scripts, samples, seed
        if not self.path.is_dir():
            raise InputError(f'{path}: no such run folder')
        self._config = self.path / 'config.json'
        self.settings = snapshot.read_settings(path)
        name = self.settings['experiment']
        for flag, setting, given in ('images', snapshot.IMAGES.get(name), images), ('judge', 'judge', judge):
            if given and setting not in self.settings:
                raise InputError(f'--{flag}: a run of train_{name}.py, which has none; leave it out')
            if given and setting == 'data':
                given, *more = given
                if more:
                    raise InputError(f'--images: a run of train_{name}.py takes one path')
            if given:
                self.settings[setting] = given

    @functools.cached_property
    def experiment(self):
        """The `lsgan.training.experiment.Experiment`, built by the training script."""
        name = f'train_{self.settings["experiment"]}'
        script = self._scripts / f'{name}.py'
        if not name.isidentifier() or not script.is_file():
            raise InputError(f'{self._config}: a run of {name}.py, which is not in {self._scripts}')
        spec = importlib.util.spec_from_file_location(name, script)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        with self._settings_to_blame():
            return module.build(self.settings)

    @functools.cached_property
    def with_images(self):
        """The same, for what needs real images; says on standard error where the data are not those of the training."""
        with self._settings_to_blame():
            data = self.experiment.fingerprint()
        if data != snapshot.read_json(self._config).get('data', data):
            print(f'note: these are not the data of the training; {self.path} began with others', file=sys.stderr)
        return self.experiment

    @property
    def has_images(self):
        """Whether the samples are images, which a grid shows."""
        return 'samples' in self.experiment.figures

    @functools.cached_property
    def newest(self):
        """The file of the newest generator, and the number of updates that this had seen."""
        files = snapshot.numbered(self.path, 'generator_iter_{}.npz')
        if not files:
            raise InputError(f'{self.path}: no generator_iter_N.npz')
        return files[0], int(files[0].stem.rpartition('_')[2])

    @functools.cached_property
    def generator(self):
        """The newest one, on the CPU."""
        load_weights(self.newest[0], self.experiment.generator, 'config.json describes')
        return self.experiment.generator

    @property
    def title(self):
        """What a picture of its samples says above them."""
        return report.title(self.settings, self.newest[1])

    def latents(self, n, *purpose):
        """The first n latents, (n, size), or those of another purpose, see `lsgan.training.experiment.Experiment.latents`."""
        seed = self.settings['seed'] if self._seed is None else self._seed
        with self._settings_to_blame():
            return self.experiment.latents(seed, chainer.get_device('@numpy'), n, *purpose)

    def generate(self, z):
        """Samples of the newest generator: a NumPy array (N, ...)."""
        generator = self.generator
        with self._settings_to_blame():
            return generate(generator, z)

    @functools.cached_property
    def samples(self):
        """As many samples as were asked for, or as the metrics are made of."""
        return self.generate(self.latents(self._n or self.experiment.samples))

    def evaluate(self):
        """The metrics of the newest generator, a dict, and what whoever reads them has to know, a line or nothing."""
        experiment = self.with_images       # first, for samples take longer
        self.require_finite(self.samples)
        with self._settings_to_blame():
            return experiment.evaluate(self.samples), experiment.remark()

    def written(self):
        """Yields the same, a batch at a time, as they are exported: images as bytes (N, H, W, C), all else as it is."""
        for samples in self._batches(self.latents(self._n or self.experiment.samples), BATCH):
            yield to_bytes(samples).transpose(0, 2, 3, 1) if self.has_images else samples

    def _batches(self, z, size):
        """Yield the samples of latents, `size` at a time, with a progress bar if that takes longer than two seconds."""
        with tqdm.tqdm(total=len(z), delay=2, file=sys.stdout, disable=not console.shows_bars(sys.stdout), unit='') as bar:
            for i in range(0, len(z), size):
                samples = self.generate(z[i:i + size])
                self.require_finite(samples)
                yield samples
                bar.update(len(samples))

    def require_finite(self, samples):
        """Raises InputError, which names the generator's file, where samples, an array, are not all finite."""
        if not numpy.isfinite(samples).all():
            raise InputError(f'{self.newest[0]}: makes samples that are not finite')

    @contextlib.contextmanager
    def _settings_to_blame(self):
        try:
            yield
        except InputError:      # a ValueError, too
            raise
        except (LookupError, TypeError, ValueError) as error:
            raise InputError(f'{self._config}: settings that cannot be used ({type(error).__name__}: {error})') from None

    def pictures(self):
        """File names and what draws each, see `lsgan.training.report.draw_each`."""
        figures = {name: self._settings_to_blame()(figure) for name, figure in self.experiment.figures.items()}
        pictures = report.main_pictures(self.path, self.settings, figures, lambda: (self.samples, self.newest[1]))
        if self.has_images:     # a grid shows the first samples only, so that no more are made for it
            pictures.update({'samples.png': self.draw_shown, 'numbers.png': self.draw_numbers,
                             'corners.png': self.draw_corners, 'loop.gif': self.draw_loop, 'real.png': self.draw_real,
                             'nearest.png': self.draw_nearest})
        return pictures

    def draw_shown(self, file, title=None):
        """Writes the picture that the run has of its samples all through training."""
        samples = self.generate(self.latents(self._n or self.experiment.shown))
        self.experiment.draw(samples, file, title or self.title)

    def draw_real(self, file):
        """Writes a picture of real images, as many as the run's own picture of samples shows."""
        with self._settings_to_blame():
            real = self.with_images.data.images
        some = numpy.random.default_rng(0).permutation(len(real))[:self.experiment.shown]
        images.grid(file, real[numpy.sort(some)], 'real images')

    def draw_nearest(self, file):
        """Writes a picture of samples, and below each the real image that is nearest to it."""
        samples = to_bytes(self.generate(self.latents(FOUND)))
        with self._settings_to_blame():
            data = self.with_images.data
            pairs = numpy.stack([samples, nearest_images(samples, data.images, data.mirror)[0]])
        rows = pairs.reshape(2, -1, ACROSS, *samples.shape[1:]).swapaxes(0, 1)
        images.grid(file, rows.reshape(-1, *samples.shape[1:]), f'{self.title}: below each the nearest real image', ACROSS)

    @property
    def frames(self):
        """The files of the pictures that the run made of its samples, the newest last."""
        folder = self.path / 'samples'
        found = snapshot.numbered(folder, 'iter_{}.png') if folder.is_dir() else []
        if not found:
            raise InputError(f'{folder}: no iter_N.png')
        return found[::-1]

    def frame(self, epoch):
        """The file of the picture that the run made of its samples after so many epochs, or of the newest one, for `end`."""
        if epoch == 'end':
            return self.frames[-1]
        path = self.path / 'samples' / f'iter_{epoch * self.settings["epoch_size"]:08}.png'
        if not path.is_file():
            raise InputError(f'{path}: no picture of epoch {epoch}; --sample-interval says when they are made')
        return path

    def draw_numbers(self, file):
        """Write a picture of the samples in the run's own grid, with the number of each below it."""
        drawn = self._drawn(self.latents(self.experiment.shown))
        images.grid(file, drawn, f'{self.title}: numbers of samples', labels=[*map(str, range(len(drawn)))])

    def draw_corners(self, file, numbers=range(4), steps=SIDE):
        """Write a picture of the samples between four others, which are its corners (see `lsgan.random.between`).

        Args:
            numbers (sequence of int): samples in the run's own grid: top left, top right, bottom left, bottom right.
            steps (int): samples along a side, 2 to 20.
        """
        if not 2 <= steps <= MOST_SIDE:
            raise InputError(f'--steps {steps}: a side of the grid has from 2 samples, which are corners, to {MOST_SIDE}')
        z = between(self._numbered('--corners', numbers), steps, self.experiment.latent_distribution)
        inner = [''] * (steps - 2)
        top, bottom = ([f'sample {left}', *inner, f'sample {right}'] for left, right in (numbers[:2], numbers[2:]))
        images.grid(file, self._drawn(z.reshape(steps * steps, -1)), f'{self.title}: between four samples', steps, top,
                    [''] * (steps * (steps - 1)) + bottom)

    def draw_arithmetic(self, file, groups, names):
        """Write a picture of mean(A) - mean(B) + mean(C) in latents (see `lsgan.random.analogy`), and of samples near it.

        Args:
            groups (sequence): three sequences of int, A, B and C: samples in the run's own grid.
            names (sequence of str): what to call the groups.
        """
        distribution = self.experiment.latent_distribution
        members = [self._numbered('--arithmetic', group) for group in groups]
        result = analogy(*members, distribution)
        around = near(result, NOISE * self.latents(8, 'near'), distribution)
        z = [*members, [mean(group, distribution) for group in members], [*around[:4], result, *around[4:]]]
        drawn = self._drawn(numpy.concatenate(z))
        *groups_drawn, means, nine = numpy.split(drawn, numpy.cumsum([len(part) for part in z[:-1]]))
        images.arithmetic(file, groups_drawn, means, nine, f'{self.title}: a sum of mean latents', names,
                          [[*map(str, group)] for group in groups])

    def draw_loop(self, file, numbers=range(STOPS), steps=STEPS, form='GIF', seconds=SECONDS):
        """Write an endless animation of a closed path through samples (see `lsgan.random.loop`).

        Args:
            numbers (sequence of int): at least two samples in the run's own grid.
            steps (int): frames from one to the next.
            form (str): see `lsgan.figures.animation.animation`.
            seconds (float): how long each frame is seen.
        """
        if len(numbers) < 2:
            raise InputError('--loop: at least two samples are needed')
        if (frames := len(numbers) * steps) > MOST:
            raise InputError(f'--steps {steps}: with {len(numbers)} samples these are {frames} frames, more than {MOST}; '
                             'choose fewer steps or samples')
        z = loop(self._numbered('--loop', numbers), steps, self.experiment.latent_distribution)
        captions = (f'sample {a} → {b}' for a, b in zip(numbers, [*numbers[1:], numbers[0]]) for _ in range(steps))
        frames = []
        for samples in self._batches(z, FEW):
            for image, caption in zip(to_bytes(samples), captions):
                frames.append(io.BytesIO())
                images.grid(frames[-1], image[None], self.title, labels=[caption], side=FRAME)
        animation(file, frames, form, seconds, hold=0)

    def _numbered(self, flag, numbers):
        """Return the latents of samples in the run's own grid, (n, size); `flag` says where the numbers are from."""
        shown = self.experiment.shown
        for number in numbers:
            if not 0 <= number < shown:
                raise InputError(f'{flag} {number}: no such sample; they have the numbers 0 to {shown - 1}, see --numbers')
        return self.latents(shown)[[*numbers]]

    def _drawn(self, z):
        """Return the images of latents (n, size) as bytes, (n, C, H, W)."""
        return numpy.concatenate([to_bytes(samples) for samples in self._batches(z, FEW)])

    def draw_animation(self, file, form='GIF', seconds=0.15):
        """Writes the pictures that the run made of its samples as an animation, see `lsgan.figures.animation.animation`."""
        animation(file, self.frames, form, seconds)
