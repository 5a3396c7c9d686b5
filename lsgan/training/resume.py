"""Start of a run: in a new folder, or from a snapshot of the run to continue."""
import pathlib
import sys

from lsgan.errors import InputError
from lsgan.training import flags, lock, snapshot


def places(parser: flags.Parser, given: dict) -> tuple[pathlib.Path, pathlib.Path | None, bool]:
    """Take --resume and --out from `given`.

    Returns:
        The run folder; the snapshot or run folder to resume from, or None for a new run; and whether it must hold a
        run. With --resume without a value, a run that does not exist yet is started.

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


def start(out: pathlib.Path, source: pathlib.Path | None, required: bool, parser: flags.Parser, given: dict,
          processes: int) -> tuple[snapshot.Snapshot | None, dict, int | None]:
    """Return where a run begins: a `Snapshot`, or None for a new run; its settings; and the value of --iterations.

    Args:
        out, source, required: see `places`.
        parser: of the script.
        given: the flags that were given.
        processes: number of processes.
    """
    iterations, reshard = given.pop('iterations', None), given.pop('reshard', False)
    state = saved = folder = None
    if source is None:
        if reshard:
            raise InputError('--reshard is for a run that is resumed on another number of processes: add --resume, or leave '
                             'it out')
    elif source.is_file():
        folder = source.parent
        state = snapshot.Snapshot(source)
        saved = state.settings
    elif required or (source / 'config.json').exists():
        folder = source
        saved = snapshot.read_settings(source)
        state = snapshot.newest(source, saved, lambda message: print(f'{parser.prog}: {message}', file=sys.stderr))
        if state is None:
            print(f'{source} holds no good snapshot, so the run starts from the beginning')
    else:       # a run that was killed in its first moments leaves no config.json
        print(f'{source} holds no run yet, so a new one starts')
    settings = flags.resolve(parser.experiment, given, parser.presets, saved)
    for name in 'continued', 'resharded':       # those of the snapshot count, see `note_changes`
        settings.pop(name, None)
    _divide(settings, state, processes, reshard)
    left = {'samples', lock.NAME}       # what a run that was killed early leaves, besides half-written files
    if (folder is None or out.resolve() != folder.resolve()) and any(
            path.suffix != '.writing' and path.name not in left for path in out.iterdir()):
        what = 'continue that run with --resume, or ' if (out / 'config.json').exists() else ''
        raise InputError(f'{out} exists already; {what}choose another folder with --out')
    return state, settings, iterations


def _divide(settings, state, processes, reshard):
    """Set the number of processes of a run and check that it can be divided among them."""
    batch = settings['batchsize']
    if processes > batch:
        raise InputError(f'{processes} processes for --batchsize {batch}: start at most {batch} processes, or pass a larger '
                         'batch size, which is that of all processes together')
    if batch % processes:
        down = batch - batch % processes
        raise InputError(f'--batchsize {batch} cannot be divided evenly among {processes} processes: it is the batch size of '
                         f'all processes together, so pass {down} or {down + processes}')
    if state and state.settings['processes'] != processes and not reshard:
        before = state.settings['processes']
        how = f'start it with mpiexec -n {before}' if before > 1 else 'start it without mpiexec'
        raise InputError(f'cannot resume: this run has been training on {before} process{"es" * (before > 1)}, and here are '
                         f'{processes}: {how}, or add --reshard, which gives every process new random numbers')
    settings['processes'] = processes


def note_changes(settings: dict, before: dict, done: int) -> None:
    """Record in `settings` that a resumed run has another number of epochs or processes, and print a note.

    Changes of the number of epochs are listed in `continued`, changes of the number of processes in `resharded`.

    Args:
        settings: settings of the run from this snapshot on; changed in place.
        before: settings in the snapshot.
        done: updates at the snapshot.

    Raises:
        InputError: if the run has already done the new number of epochs.
    """
    epochs, size = settings['epoch'], settings['epoch_size']
    continued = before.get('continued', [])
    if epochs != before['epoch']:
        if epochs * size <= done:
            raise InputError(f'--epoch {epochs}: the run has already done {done / size:g} epochs. Pass a larger number')
        continued = [*continued, {'updates': done, 'epoch_before': before['epoch'], 'epoch': epochs}]
    if continued:
        settings['continued'] = continued
    resharded = before.get('resharded', [])
    if settings['processes'] != before['processes']:
        resharded = [*resharded, {'updates': done, 'processes_before': before['processes'],
                                  'processes': settings['processes']}]
    if resharded:
        settings['resharded'] = resharded
    for change in resharded:
        print('note: this run was moved from {processes_before} to {processes} processes at update {updates:,}. From there '
              'on, it draws other random numbers, and batch normalisation sees batches of another size, so this is not the '
              'run that {processes} processes give from the start'.format(**change))
    for change in continued:
        print('note: the length of this run was changed from {epoch_before} to {epoch} epochs at update {updates:,}. From '
              'there on, learning rates and noise follow the schedules for {epoch} epochs, so this is not the run that '
              '--epoch {epoch} gives from the start'.format(**change))


def require_same_data(out: pathlib.Path, data: str) -> None:
    """Raise `InputError` if the run in the folder `out` began with data of another fingerprint than `data`."""
    path = out / 'config.json'
    if path.exists() and snapshot.read_json(path).get('data', data) != data:
        raise InputError(f'cannot resume: the data are not those that {out} began with. Put those back, '
                         'or start a new run with --out')
