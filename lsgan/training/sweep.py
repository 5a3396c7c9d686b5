"""Tables with a row for each run, made by a training script once for each: a sweep that was stopped goes on where it was."""
import concurrent.futures
import csv
import fcntl
import json
import pathlib
import subprocess
import sys


def rows(path):
    """The rows of a table as dicts of text; none where there is no file."""
    if not pathlib.Path(path).exists():
        return []
    with open(path, newline='') as f:
        return list(csv.DictReader(f))


def sweep(script, table, wanted, metrics, jobs=1):
    """Makes the rows that a table lacks, several runs at a time.

    The runs' folders are result/sweep/NAME-SEED beside the script, where a run that was stopped goes on.

    Args:
        script (pathlib.Path): the training script.
        table (pathlib.Path): a CSV file; each run that ends well appends a row: name, seed, commit, flags, seconds of training
            and metrics.
        wanted (sequence): of each run (name, flags, seed), the flags in one string; a name and seed stand for one run.
        metrics (callable): from the run's metrics.json and its log, as read, to a dict of numbers.
        jobs (int): runs at a time.

    Yields:
        str: a line about each run, in the order of `wanted`.
    """
    there = {(row['name'], int(row['seed'])) for row in rows(table)}
    missing = [run for run in wanted if (run[0], run[2]) not in there]
    with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
        yield from pool.map(lambda run: _run(script, table, *run, metrics), missing)


def _run(script, table, name, flags, seed, metrics):
    out = script.parent / 'result' / 'sweep' / f'{name.replace(" ", "-")}-{seed}'
    new = [*flags.split(), '--seed', str(seed)] if not (out / 'config.json').exists() else []
    done = subprocess.run([sys.executable, script, '--resume', '-o', out, *new], cwd=script.parent,
                          stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    if done.returncode:
        return f'{name} {seed}: {done.stderr.strip()}'
    config, measured, log = (json.loads((out / file).read_text()) for file in ('config.json', 'metrics.json', 'log'))
    numbers = {key: f'{value:.6g}' for key, value in metrics(measured, log).items()}
    row = {'name': name, 'seed': seed, 'commit': config['git_commit'], 'flags': flags,
           'seconds': f'{log[-1]["elapsed_time"]:.0f}', **numbers}      # in training, that before a stop included
    append(table, [row])
    return f'{name} {seed}: {row["seconds"]} s, ' + ', '.join(f'{key} {value}' for key, value in numbers.items())


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
