"""Where a run begins: in a new folder, or from the snapshot of a run that goes on."""
import pathlib
import sys

from lsgan.errors import InputError
from lsgan.training import flags, lock, snapshot


def places(parser, given):
    """Take --resume and --out from `given`.

    Returns:
        tuple: the run folder; the snapshot or run folder to resume from, or None for a new run; and whether that must hold a
        run. A --resume without a value starts a new run where there is none yet.

    Raises:
        InputError: if the path to resume from does not exist, or the run folder is a file.
    """
    resume, out = given.pop('resume', None), given.pop('out', None)
    source = pathlib.Path(resume) if resume else None
    if source and not source.exists():
        raise InputError(f'--resume {source}: no such snapshot or run folder')
    folder = pathlib.Path(f'result/{parser.experiment}') if source is None else source if source.is_dir() else source.parent
    out = pathlib.Path(out or folder)
    if out.exists() and not out.is_dir():
        raise InputError(f'{out} exists already and is not a folder; choose another folder with --out')
    return out, out if resume == '' else source, bool(resume)


def start(out, source, required, parser, given):
    """Return where a run begins: a `Snapshot`, or None for a new run; its settings; and the value of --iterations."""
    iterations = given.pop('iterations', None)
    state = saved = folder = None
    if source is None:
        pass
    elif source.is_file():
        folder = source.parent
        state = snapshot.Snapshot(source)
        saved = state.settings
    elif required or (source / 'config.json').exists():
        folder = source
        saved = snapshot.read_settings(source)
        state = snapshot.newest(source, saved, lambda message: print(f'{parser.prog}: {message}', file=sys.stderr))
        if state is None:
            print(f'{source} holds no good snapshot: the run starts again')
    else:       # a run that was killed in its first moments leaves no config.json
        print(f'{source} holds no run yet: a new one starts')
    settings = flags.resolve(parser.experiment, given, parser.presets, saved)
    settings.pop('continued', None)     # the snapshot's counts, see `note_new_length`
    left = {'samples', lock.NAME}       # with files half written, all that a run that was killed early leaves
    if (folder is None or out.resolve() != folder.resolve()) and any(
            path.suffix != '.writing' and path.name not in left for path in out.iterdir()):
        what = 'go on with that run by --resume, or ' if (out / 'config.json').exists() else ''
        raise InputError(f'{out} exists already; {what}choose another folder with --out')
    return state, settings, iterations


def note_new_length(settings, before, done):
    """Keep in `settings['continued']` that a run whose last snapshot has the settings `before` gets another --epoch.

    Args:
        settings (dict): of the run from now on; changed in place.
        before (dict): those in the snapshot that it goes on from.
        done (int): updates at that snapshot.

    Raises:
        InputError: if the run has done as many epochs already.
    """
    epochs, size = settings['epoch'], settings['epoch_size']
    continued = before.get('continued', [])
    if epochs != before['epoch']:
        if epochs * size <= done:
            raise InputError(f'--epoch {epochs}: the run has already done {done / size:g} epochs; give a larger number')
        continued = [*continued, {'updates': done, 'epoch_before': before['epoch'], 'epoch': epochs}]
    if continued:
        settings['continued'] = continued
    for change in continued:
        print('note: the length of this run was changed from {epoch_before} to {epoch} epochs at update {updates:,}. From '
              'there on, learning rates and noise follow the schedules for {epoch} epochs, so this is not the run that '
              '--epoch {epoch} gives from the start'.format(**change))


def require_same_data(out, data):
    """Raise `InputError` if there is a run in the folder `out` that began with data of another fingerprint than `data`."""
    path = out / 'config.json'
    if path.exists() and snapshot.read_json(path).get('data', data) != data:
        raise InputError(f'cannot resume: the data are not those that {out} began with; '
                         'put those back, or start a new run with --out')
