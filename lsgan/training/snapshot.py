"""Snapshots of the whole state of a run. A process that is killed at any moment leaves only complete files."""
import contextlib
import json
import os
import pathlib
import re
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, BinaryIO

import chainer
import numpy
from chainer import serializers
from chainer.training import Trainer

from lsgan.errors import InputError
from lsgan.npz import put_weights, read_arrays
from lsgan.types import PathLike

# for each experiment on images, the setting that holds their place
IMAGES = {'mnist': 'data', 'anime': 'images'}
_SETTINGS, _NONE, _RANK = 'lsgan/settings', 'lsgan/none', 'lsgan/rank{}/'   # keys that a trainer's own never collide with


@contextlib.contextmanager
def replacing(path: PathLike) -> Iterator[BinaryIO]:
    """Yield a binary file that replaces `path` at the end, synced to disk. After an error `path` is unchanged.

    Several processes may replace the same file at once; the last one wins.

    Raises:
        OSError: if the disk is full or the folder cannot be written.
    """
    path = pathlib.Path(path)
    aside = path.with_name(f'.{path.name}.{os.getpid()}.writing')
    try:
        with open(aside, 'wb') as f:
            yield f
            f.flush()
            os.fsync(f.fileno())
        os.replace(aside, path)
    except BaseException as error:
        with contextlib.suppress(OSError):
            aside.unlink()
        if isinstance(error, OSError):
            error.filename = str(path)      # a failed write does not say of which file
        raise


def write_json(path: PathLike, value: Any) -> None:
    """Write a value as JSON, completely or not at all."""
    with replacing(path) as f:
        f.write((json.dumps(value, indent=1) + '\n').encode())


def read_json(path: PathLike) -> Any:
    """Return the value that `write_json` wrote.

    Raises:
        InputError: if the file is missing or damaged.
    """
    try:
        return json.loads(pathlib.Path(path).read_bytes())
    except FileNotFoundError:
        raise InputError(f'{path}: no such file') from None
    except OSError as error:
        raise InputError(f'{path}: {error.strerror}') from None
    except ValueError:
        raise InputError(f'{path}: damaged, no JSON') from None


def own_state(trainer: Trainer) -> dict[str, numpy.ndarray]:
    """Return what differs between the trainers of a parallel run: random states and sums for the log."""
    serializer = serializers.DictionarySerializer()
    _serialize_own(trainer, serializer)
    return {key: value for key, value in serializer.target.items() if value.dtype != object}


def _serialize_own(trainer, serializer):
    trainer.updater.serialize_randomness(serializer['random'])
    trainer.get_extension('LogReport').serialize_sums(serializer['log'])


def save(path: PathLike, trainer: Trainer, settings: dict, others: Iterable[dict[str, numpy.ndarray]] = ()) -> None:
    """Write the state of a `chainer.training.Trainer` and the run's settings, completely or not at all.

    Args:
        path: file to write.
        trainer: of the process of rank 0.
        settings: of the run.
        others: the `own_state` of each other process of a parallel run, from rank 1 on.
    """
    serializer = serializers.DictionarySerializer()
    serializer.save(trainer)
    arrays = {key: value for key, value in serializer.target.items() if value.dtype != object}
    # Chainer writes None as an object array, which only unpickling could read, so store the list of its keys instead.
    arrays[_NONE] = numpy.array(json.dumps(sorted(serializer.target.keys() - arrays.keys())))
    arrays[_SETTINGS] = numpy.array(json.dumps(settings))
    for rank, own in enumerate(others, 1):
        arrays.update({f'{_RANK.format(rank)}{key}': value for key, value in own.items()})
    with replacing(path) as f:
        numpy.savez(f, **arrays)


class Snapshot:
    """A snapshot in memory. Reading it checks the file and unpickles nothing.

    Args:
        path: file that `save` has written.

    Raises:
        InputError: if the file is missing, truncated, damaged or not a snapshot of lsgan.
    """

    def __init__(self, path: PathLike):
        self.path = path
        self._arrays = read_arrays(path)
        try:
            self.settings = _current(json.loads(str(self._arrays.pop(_SETTINGS))))
            nones = json.loads(str(self._arrays.pop(_NONE)))
        except (KeyError, ValueError):
            raise InputError(f'{path}: no snapshot of lsgan') from None
        self._arrays.update(dict.fromkeys(nones, numpy.asarray(None)))

    @property
    def iteration(self) -> int:
        """The number of updates that the run had done."""
        return int(self._arrays['updater/iteration'])

    def network(self, name: str) -> dict[str, numpy.ndarray]:
        """Return the weights of the network `name`, generator or discriminator, as the arrays of its npz file."""
        prefix = f'updater/model:{name}/'
        return {key.removeprefix(prefix): value for key, value in self._arrays.items() if key.startswith(prefix)}

    def restore(self, trainer: Trainer, rank: int = 0, processes: int | None = None) -> None:
        """Put the saved state into a trainer made with the same settings.

        Args:
            trainer: of this process.
            rank: of this process.
            processes: number of processes of the run from now on; if the snapshot is of another number, the trainer
                keeps the random streams that it was made with.

        Raises:
            InputError: if the snapshot belongs to another kind of trainer. The trainer stays unchanged.
        """
        fresh_streams = serializers.DictionarySerializer()
        trainer.updater.serialize_randomness(fresh_streams)
        fresh = serializers.DictionarySerializer()
        trainer.updater.serialize(fresh['updater'])
        for key, value in fresh.target.items():
            saved = self._arrays.get(key)
            # None in a fresh trainer has no shape to compare.
            if saved is None or (saved.dtype != object != value.dtype and saved.shape != value.shape):
                raise InputError(f'{self.path}: a snapshot of something else ({key} differs)')
        serializers.NpzDeserializer(self._arrays).load(trainer)
        if processes not in (None, self.settings['processes']):
            trainer.updater.serialize_randomness(serializers.NpzDeserializer(fresh_streams.target))
        elif rank:
            prefix = _RANK.format(rank)
            own = {key.removeprefix(prefix): value for key, value in self._arrays.items() if key.startswith(prefix)}
            _serialize_own(trainer, serializers.NpzDeserializer(own))


def load_networks(folder: PathLike, links: Mapping[str, chainer.Link]) -> None:
    """Load the weights of a run's newest good snapshot into links.

    Args:
        folder: run folder.
        links: the links, by the names `generator` and `discriminator`.

    Raises:
        InputError: if there is no good snapshot, or if its networks differ from the links.
    """
    if not pathlib.Path(folder).is_dir():
        raise InputError(f'{folder}: no such run folder')
    state = newest(folder, read_settings(folder), lambda message: None)
    if state is None:
        raise InputError(f'{folder}: no good snapshot_iter_N in it, which has the weights of both networks')
    for name, link in links.items():
        put_weights(state.network(name), link, f'{folder}: its {name} is another network than the settings describe')


def numbered(folder: PathLike, pattern: str) -> list[pathlib.Path]:
    """Return the files in `folder` whose names match `pattern`, in which `{}` stands for a number; the largest first."""
    shape = re.compile(re.escape(pattern).replace(r'\{\}', r'(\d+)') + '$')
    found = [(int(match[1]), path) for path in pathlib.Path(folder).iterdir() if (match := shape.match(path.name))]
    return [path for _, path in sorted(found, reverse=True)]


def newest(folder: PathLike, settings: dict, complain: Callable[[str], Any]) -> Snapshot | None:
    """Return the newest good `Snapshot` of a run with these settings, or None.

    Args:
        folder: run folder.
        settings: settings of the run.
        complain: called with a message about each bad snapshot.
    """
    for path in numbered(folder, 'snapshot_iter_{}'):
        try:
            state = Snapshot(path)
            if contradictions(settings, state.settings):
                raise InputError(f'{path}: of a run with other settings than {folder}/config.json')
            return state
        except InputError as error:
            complain(f'{error}; trying the one before')
    return None


def read_settings(folder: PathLike) -> dict:
    """Return the settings in the config.json of a run folder.

    Raises:
        InputError: if the file is missing, damaged or does not hold the settings of a run.
    """
    path = pathlib.Path(folder, 'config.json')
    if not path.exists():
        raise InputError(f'{path}: no such file, so that is no run folder')
    config = read_json(path)
    settings = config.get('settings') if isinstance(config, dict) else None
    if not (isinstance(settings, dict)
            and all(isinstance(settings.get(name), str) for name in ('experiment', 'preset', 'loss'))
            and isinstance(settings.get('epoch_size'), int) and settings['epoch_size'] > 0):
        raise InputError(f'{path}: not the settings of a run')
    return _current(settings)


# by experiment, settings that older runs lack
_ADDED: dict[str | None, dict] = {
    'gaussian': {'init_bias': 0.0}, 'mnist': {'stacked': False}, 'anime': {'channels': 'auto', 'image_channels': 3}}


def _current(settings):
    """Return a run's settings in the form of the newest version.

    Runs older than a flag are without it, and those older than `processes` ran on one. Runs older than --channels are RGB and
    have one path of images.
    """
    settings = {'tf32': False, 'deterministic': True, 'graph': True, 'communicator': 'auto', 'sync_norm': False,
                'processes': 1, 'tensorboard': False, 'gradient_penalty': 'none', 'penalty_weight': None,
                **_ADDED.get(settings.get('experiment'), {}), **settings}
    if isinstance(settings.get('images'), str):
        settings['images'] = [settings['images']]
    return settings


def free(settings: dict) -> set[str | None]:
    """Return the names of the settings that a run may change when it is resumed.

    Changes of the number of epochs and of processes are recorded in `continued` and `resharded`. The communicator changes
    results by rounding. The other settings change nothing computed: config.json holds the fingerprint of the images.
    """
    return {'epoch', 'continued', 'snapshot_interval', 'keep', 'graph', 'communicator', 'processes', 'resharded', 'image_size',
            'tensorboard', IMAGES.get(settings.get('experiment', ''))}


def contradictions(settings: dict, saved: dict) -> list[str]:
    """Return the names of the settings that differ from those of a run, without the `free` ones."""
    own = free(saved)
    return [name for name in settings if name not in own and settings[name] != saved.get(name)]


def clear_leftovers(folder: pathlib.Path) -> None:
    """Remove what a killed run was writing: files not yet renamed, and the temporary folder of Chainer's log."""
    for path in [*folder.glob('.*.writing'), *folder.glob('*/.*.writing')]:
        path.unlink()
    for path in folder.glob('log????????'):
        if path.is_dir() and {file.name for file in path.iterdir()} <= {'log.json'}:
            shutil.rmtree(path)
