"""What a run folder holds, read back: its experiment, samples of its newest generator, and the pictures of them."""
import contextlib
import functools
import importlib.util
import pathlib
import sys

import chainer
import numpy
import tqdm

from lsgan import console
from lsgan.datasets.images import to_bytes
from lsgan.errors import InputError
from lsgan.figures import images
from lsgan.figures.animation import animation
from lsgan.metrics.nearest import nearest_images
from lsgan.npz import load_weights
from lsgan.random import analogy, way
from lsgan.training import report, snapshot
from lsgan.training.experiment import generate

BATCH, STEPS, ROWS = 500, 100, 8       # samples written at a time, most in a row of an interpolation, rows unless asked for
FOUND, ACROSS = 30, 10      # samples whose nearest images are shown, and how many of them in a row


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

    def latents(self, n):
        """The first n latents, (n, size)."""
        seed = self.settings['seed'] if self._seed is None else self._seed
        with self._settings_to_blame():
            return self.experiment.latents(seed, chainer.get_device('@numpy'), n)

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
        z = self.latents(self._n or self.experiment.samples)
        with tqdm.tqdm(total=len(z), delay=2, file=sys.stdout, disable=not console.shows_bars(sys.stdout), unit='') as bar:
            for i in range(0, len(z), BATCH):
                samples = self.generate(z[i:i + BATCH])
                self.require_finite(samples)
                yield to_bytes(samples).transpose(0, 2, 3, 1) if self.has_images else samples
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
            pictures.update({'samples.png': self.draw_shown, 'interpolation.png': self.draw_interpolation,
                             'arithmetic.png': self.draw_arithmetic, 'real.png': self.draw_real,
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

    def draw_interpolation(self, file, cells=None, rows=None, steps=10):
        """Writes a picture of the ways between latents, both ends among what is shown (see `lsgan.random.way`).

        Args:
            cells (sequence of int): numbers of samples in the run's own grid, two for each row; the first ones by default.
            rows (int): how many of the first ones.
            steps (int): samples in a row, 2 to 100.
        """
        if not 2 <= steps <= STEPS:
            raise InputError(f'--steps {steps}: from 2, which are both ends, to {STEPS}')
        ways = [way(*ends, steps, self.experiment.latent_distribution) for ends in self._latents_of(2, cells, rows)]
        self._draw_rows(file, ways, f'{self.title}: from latent to latent')

    def draw_arithmetic(self, file, cells=None):
        """Writes a picture of latents a, b, c and a - b + c (see `lsgan.random.analogy`), a row for each three.

        Args:
            cells (sequence of int): numbers of samples in the run's own grid, three for each row; the first ones by default.
        """
        rows = [[*abc, analogy(*abc, self.experiment.latent_distribution)] for abc in self._latents_of(3, cells)]
        self._draw_rows(file, rows, self.title, ('a', 'b', 'c', 'a − b + c'))

    def _latents_of(self, n, cells=None, rows=None):
        """The latents of some samples of the grid, n in a row: (rows, n, size); of the first ones, where none are given.

        Args:
            cells (sequence of int): their numbers in the grid.
            rows (int): how many of the first ones.
        """
        shown = self.experiment.shown
        most = shown // n
        if cells is None:
            cells = range(n * (rows or min(ROWS, most)))
            if len(cells) > shown:
                raise InputError(f'--rows {rows}: the grid has {shown} samples, enough for {most} rows')
        elif rows:
            raise InputError('--rows is of the first samples of the grid; leave it out where --cells says which')
        elif len(cells) % n:
            raise InputError(f'--cells: {len(cells)} given; it takes {n} for each row')
        for cell in cells:
            if not 0 <= cell < shown:
                raise InputError(f'--cells {cell}: the grid has the samples 0 to {shown - 1}')
        return self.latents(shown)[cells].reshape(-1, n, self.experiment.latent_size)

    def _draw_rows(self, file, z, title, headings=()):
        """Draws the samples of latents (rows, columns, size) in such rows."""
        samples = self.generate(numpy.concatenate(z))
        images.grid(file, to_bytes(samples), title, len(z[0]), headings)

    def draw_animation(self, file, form='GIF', seconds=0.15):
        """Writes the pictures that the run made of its samples as an animation, see `lsgan.figures.animation.animation`."""
        animation(file, self.frames, form, seconds)
