"""Sweeps: many runs of a training script, with one row in a CSV table for each. An interrupted sweep continues."""
import argparse
import concurrent.futures
import csv
import fcntl
import json
import multiprocessing
import pathlib
import runpy
import subprocess
import sys
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any

from lsgan.errors import InputError
from lsgan.training import flags, lock, snapshot
from lsgan.training.run import guarded
from lsgan.types import PathLike

Run = tuple[str, str, int]      # name, flags, random seed
Group = Mapping[str, tuple[str, Iterable[int]]]     # from names of runs to their flags and random seeds
_TOLD = 12      # most names that an error message lists


def rows(path: PathLike) -> list[dict[str, str]]:
    """Return the rows of a CSV table; an empty list if the file does not exist."""
    if not pathlib.Path(path).exists():
        return []
    with open(path, newline='') as f:
        return list(csv.DictReader(f))


def append(path: PathLike, new: Sequence[dict]) -> None:
    """Append rows to a CSV table. A new table gets a header. A lock keeps several processes apart.

    Args:
        path: file of the table.
        new: rows, at least one, all with the same keys.
    """
    with open(path, 'a+', newline='') as f:
        fcntl.flock(f, fcntl.LOCK_EX)
        f.seek(0)
        header = next(csv.reader(f), None)
        writer = csv.DictWriter(f, header or list(new[0]))
        if header is None:
            writer.writeheader()
        writer.writerows(new)


def sweep(script: pathlib.Path, table: pathlib.Path, wanted: Sequence[Run], columns: Sequence[str], jobs: int = 1,
          dry: bool = False) -> int:
    """Make the missing rows of a table, and print a line for each.

    The run folders are result/sweep/SCRIPT/NAME-SEED beside the script. An interrupted run continues there.

    Args:
        script: the training script.
        table: CSV file. A run that ends or diverges appends a row with its name, seed, git commit, flags,
            seconds of training, and `columns`.
        wanted: the runs, tuples of name, flags (separated by spaces) and random seed. Name and seed together identify a run.
        columns: keys of metrics.json, or keys of the log followed by ` first` or ` last` for the first or
            last log entry. A value that a run lacks is nan, such as the metrics of a run that diverged.
        jobs: number of runs at a time.
        dry: whether to print the missing runs without making them.

    Returns:
        The number of runs that failed. Their lines say why. A run that diverged does not count as failed.

    Raises:
        InputError: if another process is making rows of this table.
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
    """Return the runs without a row in `table`, and print how many rows exist and how many are missing."""
    there = {(row['name'], int(row['seed'])) for row in rows(table)}
    missing = [run for run in wanted if (run[0], run[2]) not in there]
    print(f'{table.name}: {len(there)} runs done, {len(missing)} missing')
    return missing


def settings(script: pathlib.Path, arguments: Sequence[str]) -> dict:
    """Return the settings of a run, see `lsgan.training.flags.resolve`.

    Args:
        script: the training script.
        arguments: its command-line arguments.

    Raises:
        InputError: if the script does not accept the arguments.
    """
    parser = runpy.run_path(str(script))['make_parser']()
    return flags.resolve(parser.experiment, vars(parser.parse_args(arguments)), parser.presets)


def make_parser(doc: str | None) -> flags.OneLineParser:
    """Return the argument parser of a script that makes runs, with --jobs. Its help begins with the docstring `doc`."""
    parser = flags.OneLineParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--jobs', type=flags.positive, default=1, metavar='N', help='number of runs at a time (default: 1)')
    return parser


def runs(group: Group) -> list[Run]:
    """Return the runs of a group as for `sweep`, in the order of their seeds.

    Args:
        group: from names to tuples of flags and seeds.
    """
    return sorted(((name, flags, seed) for name, (flags, seeds) in group.items() for seed in seeds), key=lambda run: run[2])


def main(doc: str | None, script: pathlib.Path, folder: pathlib.Path, groups: Mapping[str, Group],
         columns: Sequence[str]) -> int:
    """Run the command line of a sweep.py in results.

    Args:
        doc: docstring of that script.
        script, columns: see `sweep`.
        folder: folder of the tables, GROUP.csv.
        groups: from the name of each group to its runs, see `runs`.

    Returns:
        The exit status, see `lsgan.training.run.guarded`; also 1 if a run failed.
    """
    parser = make_parser(doc)
    parser.add_argument('groups', nargs='*', metavar='GROUP',
                        help=f'groups of runs to make: {", ".join(groups)} (default: all)')
    parser.add_argument('--only', action='append', metavar='NAME',
                        help='make only the runs with this name; repeat the flag for several names')
    parser.add_argument('--seed', type=int, action='append', metavar='N',
                        help='make only the runs with this random seed; repeat the flag for several seeds')
    parser.add_argument('--list', action='store_true', help='list the missing runs without making them')

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


def print_tables(doc: str | None, groups: Collection[str], table: Callable[[str], Iterable[str]]) -> int:
    """Run the command line of a table.py in results, which prints the tables of the groups that it is given.

    Args:
        doc: docstring of that script.
        groups: names of the groups.
        table: from a group to the lines of its table.

    Returns:
        The exit status, see `lsgan.training.run.guarded`.
    """
    parser = flags.OneLineParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('groups', nargs='+', choices=list(groups), metavar='GROUP', help=f'one or more of {", ".join(groups)}')

    def act():
        for group in parser.parse_args().groups:
            print(*table(group), sep='\n')
        return 0
    return guarded(parser.prog, act)


def computed(work: Callable[[Any], Any], tasks: Iterable, jobs: int) -> Iterator:
    """Yield `work(task)` for each task, in their order, computed by `jobs` processes at a time.

    Args:
        work: a function of a module.
        tasks: its arguments.
        jobs: number of processes.
    """
    with multiprocessing.get_context('spawn').Pool(jobs) as pool:
        yield from pool.imap(work, tasks)
        pool.close()        # without this, the resources of its processes would be reported as leaked
        pool.join()


def _require_among(known, given):
    for name in given:
        if name not in known:
            some = [*map(str, known)][:_TOLD] + ['...'] * (len(known) > _TOLD)
            raise InputError(f'{name}: not known here; choose from {", ".join(some)}')


def _run(script, table, name, options, seed, columns):
    """Make a run and its row; return its line for the user. Raise `InputError` if the run failed."""
    out = script.parent / 'result' / 'sweep' / script.stem / f'{name.replace(" ", "-")}-{seed}'
    # All runs are on the CPU, so that their rows are comparable.
    arguments = ['--device', '-1', *options.split(), '--seed', str(seed)]
    # An existing run continues only if all of its settings, including defaults, are those that the flags stand for.
    if (out / 'config.json').exists():
        wanted, saved = settings(script, arguments), snapshot.read_settings(out)
        clash = snapshot.contradictions(wanted, saved)
        if wanted['epoch'] != saved['epoch'] or 'continued' in saved:
            clash.append('epoch')
        if clash:
            raise InputError(f'{out} holds a run with other settings ({", ".join(clash)}); remove that folder')
    command = [sys.executable, script, '--resume', '-o', out, *arguments]
    done = subprocess.run(command, cwd=script.parent, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    # A script that fails with an exception also ends with status 1.
    diverged = done.returncode == 1 and 'Traceback' not in done.stderr
    if done.returncode and not diverged:
        raise InputError(done.stderr.strip() or f'the script ended with exit status {done.returncode} and no message')
    config = json.loads((out / 'config.json').read_text())
    log = json.loads((out / 'log').read_text()) if (out / 'log').exists() else []
    known = {} if diverged else json.loads((out / 'metrics.json').read_text())
    if log:
        for when, entry in ('first', log[0]), ('last', log[-1]):
            known.update({f'{key} {when}': value for key, value in entry.items()})
    seconds = known.get('elapsed_time last', 0)     # of training, including the time before an interruption
    numbers = {key: f'{known.get(key, float("nan")):.6g}' for key in columns}
    append(table, [{'name': name, 'seed': seed, 'commit': config['git_commit'], 'flags': options, 'seconds': f'{seconds:.0f}',
                    **numbers}])
    measured = 'diverged' if diverged else ', '.join(f'{key} {value}' for key, value in numbers.items())
    return f'{seconds:.0f} s, {measured}'
