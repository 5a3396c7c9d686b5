"""Tables with a row for each run, made by a training script once for each: a sweep that was stopped goes on where it was."""
import argparse
import concurrent.futures
import csv
import fcntl
import json
import pathlib
import runpy
import subprocess
import sys

from lsgan.errors import InputError
from lsgan.training import flags, lock, snapshot
from lsgan.training.run import guarded

_TOLD = 12      # names in a message, at most


def rows(path):
    """The rows of a table as dicts of text; none where there is no file."""
    if not pathlib.Path(path).exists():
        return []
    with open(path, newline='') as f:
        return list(csv.DictReader(f))


def append(path, new):
    """Adds rows, dicts of the same keys, to a table under a lock, and the header where the file is new."""
    with open(path, 'a+', newline='') as f:
        fcntl.flock(f, fcntl.LOCK_EX)
        f.seek(0)
        header = next(csv.reader(f), None)
        writer = csv.DictWriter(f, header or list(new[0]))
        if header is None:
            writer.writeheader()
        writer.writerows(new)


def sweep(script, table, wanted, columns, jobs=1, dry=False):
    """Makes the rows that a table lacks, several runs at a time, and prints a line about each.

    The runs' folders are result/sweep/SCRIPT/NAME-SEED beside the script, where a run that was stopped goes on.

    Args:
        script (pathlib.Path): the training script.
        table (pathlib.Path): a CSV file. Each run that ends or diverges appends a row: name, seed, commit, flags, seconds of
            training, and columns.
        wanted (sequence): of each run (name, flags, seed), the flags in one string; a name and seed stand for one run.
        columns (sequence of str): keys of metrics.json, or keys of the log and `first` or `last`, the entry; nan where a run
            has none, as one that diverged.
        jobs (int): runs at a time.
        dry (bool): only print what is missing.

    Returns:
        int: how many runs could not be made; their lines say why. One that diverged is none of them.

    Raises:
        InputError: if another process is making rows of the table.
    """
    if dry:
        for name, _, seed in _missing(table, wanted):
            print(name, seed)
        return 0

    def attempt(run):
        name, _, seed = run
        try:
            return f'{name} {seed}: {_run(script, table, *run, columns)}', 0
        except InputError as error:
            return f'{name} {seed}: {error}', 1

    failed = 0
    with lock.held(table.with_name(f'.{table.name}.lock'), table, 'wait for that sweep, or stop it first'):
        with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
            for line, wrong in pool.map(attempt, _missing(table, wanted)):
                print(line, flush=True)
                failed += wrong
    return failed


def _missing(table, wanted):
    """Print how many rows `table` has and lacks; return the runs that it lacks."""
    there = {(row['name'], int(row['seed'])) for row in rows(table)}
    missing = [run for run in wanted if (run[0], run[2]) not in there]
    print(f'{table.name}: {len(there)} runs done, {len(missing)} missing')
    return missing


def settings(script, arguments):
    """All settings that a training script has with these arguments, a dict; see `lsgan.training.flags.resolve`.

    Raises:
        InputError: where it does not take them.
    """
    parser = runpy.run_path(str(script))['make_parser']()
    return flags.resolve(parser.experiment, vars(parser.parse_args(arguments)), parser.presets)


def make_parser(doc):
    """The parser of a script that makes runs, described by its docstring, with --jobs."""
    parser = flags.OneLineParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--jobs', type=flags.positive, default=1, metavar='N', help='runs at a time (default: 1)')
    return parser


def runs(group):
    """Name, flags and seed of each run of a group, {name: (flags, seeds)}; all of one seed come before those of the next."""
    return sorted(((name, flags, seed) for name, (flags, seeds) in group.items() for seed in seeds), key=lambda run: run[2])


def main(doc, script, folder, groups, columns):
    """The command line of a folder's sweep.py.

    Args:
        doc (str): its docstring.
        script, columns: see `sweep`.
        folder (pathlib.Path): where the tables are, GROUP.csv.
        groups (dict): of each group by name its runs, see `runs`.

    Returns:
        int: exit status, see `lsgan.training.run.guarded`; 1 where a run could not be made, too.
    """
    parser = make_parser(doc)
    parser.add_argument('groups', nargs='*', metavar='GROUP', help=f'any of {", ".join(groups)} (default: all)')
    parser.add_argument('--only', action='append', metavar='NAME', help='only the runs of that name')
    parser.add_argument('--seed', type=int, action='append', metavar='N', help='only the runs of that seed')
    parser.add_argument('--list', action='store_true', help='say what is there and what is missing, and run nothing')

    def act():
        args = parser.parse_args()
        _require_among(groups, args.groups)
        chosen = {group: runs(groups[group]) for group in args.groups or groups}
        names = dict.fromkeys(name for wanted in chosen.values() for name, _, _ in wanted)
        seeds = dict.fromkeys(seed for wanted in chosen.values() for _, _, seed in wanted)
        _require_among(names, args.only or [])
        _require_among(seeds, args.seed or [])
        failed = 0
        for group, wanted in chosen.items():
            wanted = [run for run in wanted if run[0] in (args.only or names) and run[2] in (args.seed or seeds)]
            failed += sweep(script, folder / f'{group}.csv', wanted, columns, args.jobs, args.list)
        return 1 if failed else 0
    return guarded(parser.prog, act)


def _require_among(known, given):
    for name in given:
        if name not in known:
            some = [*map(str, known)][:_TOLD] + ['...'] * (len(known) > _TOLD)
            raise InputError(f'{name}: there is none of that name; there are {", ".join(some)}')


def _run(script, table, name, options, seed, columns):
    """Makes a run and its row; what there is to say of it. Raises `InputError` where it could not be made."""
    out = script.parent / 'result' / 'sweep' / script.stem / f'{name.replace(" ", "-")}-{seed}'
    # all on the CPU, so that rows can be compared
    arguments = ['--device', '-1', *options.split(), '--seed', str(seed)]
    # a run that is there goes on if all of its settings are those that these flags mean now, those not given, too
    if (out / 'config.json').exists():
        wanted, saved = settings(script, arguments), snapshot.read_settings(out)
        clash = snapshot.contradictions(wanted, saved)
        if wanted['epoch'] != saved['epoch'] or 'continued' in saved:
            clash.append('epoch')
        if clash:
            raise InputError(f'a run with other settings ({", ".join(clash)}) is in {out}; remove that folder')
    command = [sys.executable, script, '--resume', '-o', out, *arguments]
    done = subprocess.run(command, cwd=script.parent, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    diverged = done.returncode == 1 and 'Traceback' not in done.stderr      # a script that breaks ends with 1, too
    if done.returncode and not diverged:
        raise InputError(done.stderr.strip() or f'ended with status {done.returncode}')
    config = json.loads((out / 'config.json').read_text())
    log = json.loads((out / 'log').read_text()) if (out / 'log').exists() else []
    known = {} if diverged else json.loads((out / 'metrics.json').read_text())
    if log:
        for when, entry in ('first', log[0]), ('last', log[-1]):
            known.update({f'{key} {when}': value for key, value in entry.items()})
    seconds = known.get('elapsed_time last', 0)     # in training, that before a stop included
    numbers = {key: f'{known.get(key, float("nan")):.6g}' for key in columns}
    append(table, [{'name': name, 'seed': seed, 'commit': config['git_commit'], 'flags': options, 'seconds': f'{seconds:.0f}',
                    **numbers}])
    measured = 'diverged' if diverged else ', '.join(f'{key} {value}' for key, value in numbers.items())
    return f'{seconds:.0f} s, {measured}'
