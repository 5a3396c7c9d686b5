"""Reading a run folder: its experiment, samples of its newest generator, metrics, pictures and exports."""
import contextlib
import functools
import io
import pathlib
import runpy
import sys
from collections.abc import Iterator, Sequence
from typing import Literal

import chainer
import numpy

from lsgan import console
from lsgan.datasets.images import to_bytes
from lsgan.errors import InputError
from lsgan.figures import images
from lsgan.figures.animation import MOST, animation
from lsgan.metrics.nearest import nearest_images
from lsgan.npz import load_weights
from lsgan.random import analogy, between, loop, mean, near
from lsgan.training import report, snapshot
from lsgan.training.experiment import Experiment, generate
from lsgan.types import FileLike, PathLike

BATCH, FEW = 500, 50        # samples generated at a time, for files and for pictures
FOUND, ACROSS = 30, 10      # samples whose nearest images are drawn, and samples in a row of that picture
SIDE, MOST_SIDE = 8, 20     # samples along a side of the square between four corners: default and maximum
STOPS, STEPS = 6, 24        # defaults of the loop: samples that it passes through, and frames from one to the next
FRAME, SECONDS = 256, 0.05  # the loop's frames: smallest side in pixels, and default duration of each
NOISE = 0.25                # scale of the noise around an arithmetic result, as in Radford et al. 2016, section 6.3.2


class RunFolder:
    """A run folder. Each file in it is read when something first needs it.

    Args:
        path: the folder. It must hold config.json.
        scripts: folder of the training scripts.
        samples: number of samples to generate; None for the number that training uses for its pictures or metrics.
        seed: random seed of the latents; None for the latents of the run's own pictures and metrics.
        images: current paths of the real images, a single one for MNIST; None for those in config.json.
        judge: npz file of the classifier that measures the samples; None for the one in config.json.

    Raises:
        InputError: if `path` is not a run folder or an argument does not apply to this run. Methods and attributes raise it,
            too, if a file that they need is missing, damaged or does not belong to this run.
    """

    def __init__(self, path: PathLike, scripts: pathlib.Path, samples: int | None = None, seed: int | None = None,
                 images: Sequence[str] | None = None, judge: str | None = None):
        self.path, self._scripts, self._n, self._seed = pathlib.Path(path), scripts, samples, seed
        if not self.path.is_dir():
            raise InputError(f'{path}: no such run folder; pass a folder that a training script has written')
        self._config = self.path / 'config.json'
        self.settings = snapshot.read_settings(path)
        name = self.settings['experiment']
        for flag, setting, given in ('images', snapshot.IMAGES.get(name), images), ('judge', 'judge', judge):
            if given and setting not in self.settings:
                raise InputError(f'--{flag}: a run of train_{name}.py has no such setting; leave the flag out')
            if given and setting == 'data':
                given, *more = given
                if more:
                    raise InputError(f'--images: a run of train_{name}.py takes one path; leave the others out')
            if given:
                self.settings[setting] = given

    @functools.cached_property
    def experiment(self) -> Experiment:
        """The experiment that the training script builds from the settings."""
        name = f'train_{self.settings["experiment"]}'
        script = self._scripts / f'{name}.py'
        if not name.isidentifier() or not script.is_file():
            raise InputError(f'{self._config}: this run needs {name}.py; put that script into {self._scripts}')
        build = runpy.run_path(str(script))['build']
        with self._settings_to_blame():
            return build(self.settings)

    @functools.cached_property
    def with_images(self) -> Experiment:
        """The experiment, for pictures and metrics that need real images. Warn the user if they are not the training data."""
        with self._settings_to_blame():
            data = self.experiment.fingerprint()
        if data != snapshot.read_json(self._config).get('data', data):
            print(f'note: these real images are not the training data of {self.path}, so metrics here differ from those in '
                  'training', file=sys.stderr)
        return self.experiment

    @property
    def has_images(self) -> bool:
        """Whether the samples are images and not points."""
        return 'samples' in self.experiment.figures

    @functools.cached_property
    def newest(self) -> tuple[pathlib.Path, int]:
        """The file of the newest generator, and the number of updates after which it was written."""
        files = snapshot.numbered(self.path, 'generator_iter_{}.npz')
        if not files:
            raise InputError(f'{self.path}: no generator_iter_N.npz; training writes the first one with its first snapshot')
        return files[0], int(files[0].stem.rpartition('_')[2])

    @functools.cached_property
    def generator(self) -> chainer.Link:
        """The newest generator, on the CPU."""
        load_weights(self.newest[0], self.experiment.generator, 'config.json describes')
        return self.experiment.generator

    @property
    def title(self) -> str:
        """The title of pictures of its samples."""
        return report.title(self.settings, self.newest[1])

    def latents(self, n: int, *purpose: str) -> numpy.ndarray:
        """Return n latents on the CPU, of shape (n, latent_size), see `lsgan.training.experiment.Experiment.latents`."""
        seed = self.settings['seed'] if self._seed is None else self._seed
        with self._settings_to_blame():
            return self.experiment.latents(seed, chainer.get_device('@numpy'), n, *purpose)

    def generate(self, z: numpy.ndarray) -> numpy.ndarray:
        """Return samples of the newest generator from latents of shape (n, latent_size), an array of shape (n, ...)."""
        generator = self.generator
        with self._settings_to_blame():
            return generate(generator, z)

    @functools.cached_property
    def samples(self) -> numpy.ndarray:
        """The samples for the metrics, in the number given by the argument `samples`, or used in training."""
        return self.generate(self.latents(self._n or self.experiment.samples))

    def evaluate(self) -> tuple[dict[str, float], str]:
        """Measure the newest generator.

        Returns:
            The metrics, and a line that a reader of the metrics has to know, or an empty str.
        """
        experiment = self.with_images       # fails early if the real images are missing, before samples are generated
        self.require_finite(self.samples)
        with self._settings_to_blame():
            return experiment.evaluate(self.samples), experiment.remark()

    def written(self) -> Iterator[numpy.ndarray]:
        """Generate the samples for an export.

        Yields:
            A batch of samples: uint8 images of shape (N, H, W, C), or float32 points of shape (N, 2).
        """
        for samples in self._batches(self.latents(self._n or self.experiment.samples), BATCH):
            yield to_bytes(samples).transpose(0, 2, 3, 1) if self.has_images else samples

    def onnx(self) -> bytes:
        """Return the newest generator in test mode as an ONNX model, see `lsgan.networks.onnx.to_onnx`.

        The metadata of the model name the run folder, the number of updates, the commit, and the latents' distribution.
        """
        try:
            from lsgan.networks.onnx import to_onnx
        except ModuleNotFoundError:
            raise InputError("--format onnx: the package onnx is not installed: pip install 'lsgan[onnx]'") from None
        z = self.latents(2)
        self.require_finite(self.generate(z))
        about = {'run': self.path.resolve().name, 'updates': self.newest[1],
                 'git_commit': snapshot.read_json(self._config).get('git_commit') or 'unknown',
                 'latent_distribution': self.experiment.latent_distribution}
        # a folder's name may not be valid text
        model = to_onnx(self.generator, z, {key: console.one_line(str(value)) for key, value in about.items()})
        return model.SerializeToString()

    def _batches(self, z, size):
        """Yield the samples of latents z, `size` at a time. A progress bar appears after two seconds."""
        with console.progress(total=len(z)) as bar:
            for i in range(0, len(z), size):
                samples = self.generate(z[i:i + size])
                self.require_finite(samples)
                yield samples
                bar.update(len(samples))

    def require_finite(self, samples: numpy.ndarray) -> None:
        """Raise `InputError`, naming the generator's file, if an array of samples has values that are NaN or infinite."""
        if not numpy.isfinite(samples).all():
            raise InputError(f'{self.newest[0]}: its samples are not finite; train a new run with smaller learning rates')

    @contextlib.contextmanager
    def _settings_to_blame(self):
        """Turn errors inside this context into an `InputError` that names config.json."""
        try:
            yield
        except InputError:      # is a ValueError, but has a message of its own
            raise
        except (LookupError, TypeError, ValueError) as error:
            raise InputError(f'{self._config}: these settings cannot be used ({type(error).__name__}: {error}); restore the '
                             'file, or use the version of lsgan that wrote it') from None

    def pictures(self) -> dict[str, report.Picture]:
        """Return the pictures of this run's samples and log, for `lsgan.training.report.draw_each`."""
        figures = {name: self._settings_to_blame()(figure) for name, figure in self.experiment.figures.items()}
        pictures = report.main_pictures(self.path, self.settings, figures, lambda: (self.samples, self.newest[1]))
        if self.has_images:     # draw_shown generates only the samples that the grid shows, not all those for the metrics
            pictures.update({'samples.png': self.draw_shown, 'numbers.png': self.draw_numbers,
                             'corners.png': self.draw_corners, 'loop.gif': self.draw_loop, 'real.png': self.draw_real,
                             'nearest.png': self.draw_nearest})
        return pictures

    def draw_shown(self, file: FileLike, title: str | None = None) -> None:
        """Write the picture of samples that training writes again and again, but of the newest generator."""
        samples = self.generate(self.latents(self._n or self.experiment.shown))
        self.experiment.draw(samples, file, title or self.title)

    def draw_real(self, file: FileLike) -> None:
        """Write a picture of as many real images as the run's own pictures have samples."""
        with self._settings_to_blame():
            real = self.with_images.data.some(self.experiment.shown)
        images.grid(file, real, 'real images')

    def draw_nearest(self, file: FileLike) -> None:
        """Write a picture of samples, with the nearest real image below each; of stacked images, the nearest in each channel.
        """
        samples = to_bytes(self.generate(self.latents(FOUND)))
        with self._settings_to_blame():
            data = self.with_images.data
            channels = samples.reshape(-1, *data.images.shape[1:])
            found = nearest_images(channels, data.images, data.mirror)[0].reshape(samples.shape)
            pairs = numpy.stack([samples, found])
        rows = pairs.reshape(2, -1, ACROSS, *samples.shape[1:]).swapaxes(0, 1)
        images.grid(file, rows.reshape(-1, *samples.shape[1:]), f'{self.title}: nearest real image below each', ACROSS)

    @property
    def frames(self) -> list[pathlib.Path]:
        """The files of the sample pictures that training has written, the newest last."""
        folder = self.path / 'samples'
        found = snapshot.numbered(folder, 'iter_{}.png') if folder.is_dir() else []
        if not found:
            raise InputError(f'{folder}: no iter_N.png; training writes these pictures every --sample-interval updates')
        return found[::-1]

    def frame(self, epoch: int | Literal['end']) -> pathlib.Path:
        """Return the file of a sample picture that training has written.

        Args:
            epoch: number of epochs after which it was written, or `end` for the newest one.
        """
        if epoch == 'end':
            return self.frames[-1]
        path = self.path / 'samples' / f'iter_{epoch * self.settings["epoch_size"]:08}.png'
        if not path.is_file():
            raise InputError(f'{path}: no picture of epoch {epoch}; training writes one every --sample-interval updates')
        return path

    def draw_numbers(self, file: FileLike) -> None:
        """Write a picture of the run's own grid of samples, with the number of each sample below it."""
        drawn = self.to_images(self.latents(self.experiment.shown))
        images.grid(file, drawn, f'{self.title}: sample numbers', labels=[*map(str, range(len(drawn)))])

    def draw_corners(self, file: FileLike, numbers: Sequence[int] = range(4), steps: int = SIDE) -> None:
        """Write a picture of a square of samples that interpolates between four corners (see `lsgan.random.between`).

        Args:
            numbers: the corners, numbered as in the run's own grid: top left, top right, bottom left, bottom
                right.
            steps: number of samples along a side, corners included, 2 to 20.
        """
        if not 2 <= steps <= MOST_SIDE:
            raise InputError(f'--steps {steps}: not a possible side of the grid; pass a number from 2 to {MOST_SIDE}')
        z = between(self.numbered('--corners', numbers), steps, self.experiment.latent_distribution)
        inner = [''] * (steps - 2)
        top, bottom = ([f'sample {left}', *inner, f'sample {right}'] for left, right in (numbers[:2], numbers[2:]))
        images.grid(file, self.to_images(z.reshape(steps * steps, -1)), f'{self.title}: between four samples', steps, top,
                    [''] * (steps * (steps - 1)) + bottom)

    def draw_arithmetic(self, file: FileLike, groups: Sequence[Sequence[int]], names: Sequence[str]) -> None:
        """Write a picture of the latent arithmetic mean(A) - mean(B) + mean(C) (see `lsgan.random.analogy`).

        It shows the samples of each group, their means, the result, and samples near the result.

        Args:
            groups: the groups A, B and C: samples, numbered as in the run's own grid.
            names: headings of the groups.
        """
        distribution = self.experiment.latent_distribution
        a, b, c = members = [self.numbered('--arithmetic', group) for group in groups]
        result = analogy(a, b, c, distribution)
        around = near(result, NOISE * self.latents(8, 'near'), distribution)
        means = numpy.stack([mean(group, distribution) for group in members])
        z = [*members, means, numpy.stack([*around[:4], result, *around[4:]])]
        drawn = self.to_images(numpy.concatenate(z))
        *groups_drawn, means_drawn, nine = numpy.split(drawn, numpy.cumsum([len(part) for part in z[:-1]]))
        images.arithmetic(file, groups_drawn, means_drawn, nine, f'{self.title}: latent arithmetic', names,
                          [[*map(str, group)] for group in groups])

    def draw_loop(self, file: FileLike, numbers: Sequence[int] = range(STOPS), steps: int = STEPS, form: str = 'GIF',
                  seconds: float = SECONDS) -> None:
        """Write an endless animation that interpolates between samples along a closed path (see `lsgan.random.loop`).

        Args:
            numbers: at least two samples, numbered as in the run's own grid.
            steps: number of frames from one sample to the next.
            form: see `lsgan.figures.animation.animation`.
            seconds: duration of each frame.
        """
        if len(numbers) < 2:
            raise InputError('--loop: pass the numbers of at least two samples')
        if (total := len(numbers) * steps) > MOST:
            raise InputError(f'--steps {steps}: with {len(numbers)} samples the animation has {total} frames, more than '
                             f'{MOST}; choose fewer steps or fewer samples')
        z = loop(self.numbered('--loop', numbers), steps, self.experiment.latent_distribution)
        captions = (f'sample {a} → {b}' for a, b in zip(numbers, [*numbers[1:], numbers[0]]) for _ in range(steps))
        frames: list[FileLike] = []
        for samples in self._batches(z, FEW):
            for image, caption in zip(to_bytes(samples), captions):
                frames.append(io.BytesIO())
                images.grid(frames[-1], image[None], self.title, labels=[caption], side=FRAME)
        animation(file, frames, form, seconds, hold=0)

    def numbered(self, flag: str, numbers: Sequence[int]) -> numpy.ndarray:
        """Return the latents of samples in the run's own grid, (n, size). Errors name `flag`, which gave the numbers."""
        shown = self.experiment.shown
        for number in numbers:
            if not 0 <= number < shown:
                raise InputError(f'{flag} {number}: no such sample; choose from 0 to {shown - 1} (--numbers draws them all)')
        return self.latents(shown)[[*numbers]]

    def to_images(self, z: numpy.ndarray) -> numpy.ndarray:
        """Return the generator's images of latents (n, size), a uint8 array of shape (n, C, H, W)."""
        return numpy.concatenate([to_bytes(samples) for samples in self._batches(z, FEW)])

    def draw_animation(self, file: FileLike, form: str = 'GIF', seconds: float = 0.15) -> None:
        """Write an animation of the sample pictures that training has written.

        Args:
            file: the file to write.
            form: see `lsgan.figures.animation.animation`.
            seconds: duration of each frame.
        """
        animation(file, self.frames, form, seconds)
