"""Makes the rows of runs.csv: every run of the table in README.md, each once.

    python results/gaussian/sweep.py                    all that is missing, one run at a time
    python results/gaussian/sweep.py --jobs 2           two at a time
    python results/gaussian/sweep.py --only default     only the runs of that name
    python results/gaussian/sweep.py --list             what is there and what is missing

A run that was stopped goes on where it was; a finished one appends its row, with the commit that made it, and its folder in
result/sweep stays for pictures. Run it from a clean checkout.
"""
import argparse
import concurrent.futures
import csv
import fcntl
import json
import os
import pathlib
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
COLUMNS = ['name', 'seed', 'commit', 'flags', 'seconds', 'iteration', 'modes_total', 'modes_captured', 'modes_fair',
           'high_quality', 'spread_min', 'spread_max', 'sliced_wasserstein', 'sliced_wasserstein_floor', 'images_per_second']

TEN, THREE = range(10), range(3)
# name: (flags, seeds), in the order in which they run
RUNS = {
    'default': ('', TEN),
    'blog': ('--preset blog', TEN),
    'default without noise': ('--noise 0', THREE),
    'default without average': ('--average 0', THREE),
    'default without decay': ('--lr-decay 0', THREE),
    'default with beta1 0.5': ('--beta1 0.5', THREE),
    'default with beta2 0.999': ('--beta2 0.999', THREE),
    'default with batches of 100': ('--batchsize 100', THREE),
    'default with 2 layers in G': ('--hidden-g 128 128', THREE),
    'default with 2 layers in D': ('--hidden-d 128 128', THREE),
    'default pearson': ('--scheme pearson', THREE),
    'default gan': ('--loss gan', THREE),
    'default wgan': ('--loss wgan', THREE),
    'blog pearson': ('--preset blog --scheme pearson', THREE),
    'blog gan': ('--preset blog --loss gan', THREE),
    'blog wgan': ('--preset blog --loss wgan', THREE),
    'paper': ('--preset paper', THREE),
    'paper pearson': ('--preset paper --scheme pearson', THREE),
    'paper gan': ('--preset paper --loss gan', THREE),
    'paper wgan': ('--preset paper --loss wgan', THREE),
}


def rows(path):
    """The rows of a table as dicts of text; none where there is no file."""
    if not path.exists():
        return []
    with open(path, newline='') as f:
        return list(csv.DictReader(f))


def append(path, row):
    """Adds one row to a table, under a lock, and the header where it is new."""
    with open(path, 'a', newline='') as f:
        fcntl.flock(f, fcntl.LOCK_EX)
        writer = csv.DictWriter(f, COLUMNS)
        if os.fstat(f.fileno()).st_size == 0:
            writer.writeheader()
        writer.writerow(row)


def do(name, flags, seed, path):
    """One run and its row in that table; returns a line about it."""
    out = f'result/sweep/{name.replace(" ", "-")}-{seed}'
    folder = ROOT / out
    new = [*flags.split(), '--seed', str(seed)] if not (folder / 'config.json').exists() else []
    done = subprocess.run([sys.executable, 'train_gaussian.py', '--resume', '-o', out, *new], cwd=ROOT,
                          stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    if done.returncode:
        return f'{name} {seed}: {done.stderr.strip()}'
    config, metrics, log = (json.loads((folder / file).read_text()) for file in ('config.json', 'metrics.json', 'log'))
    seconds = log[-1]['elapsed_time']       # in training, that before a stop included
    numbers = {key: f'{metrics[key]:.6g}' for key in COLUMNS if key in metrics}
    append(path, {'name': name, 'seed': seed, 'commit': config['git_commit'], 'flags': flags,
                  'seconds': f'{seconds:.0f}', **numbers})
    return f'{name} {seed}: {seconds:.0f} s, {metrics["modes_fair"]} fair modes, {metrics["high_quality"]:.3f} of high quality'


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--jobs', type=int, default=1, help='runs at a time (default: 1)')
    parser.add_argument('--only', action='append', choices=list(RUNS), metavar='NAME', help='only the runs of that name')
    parser.add_argument('--list', action='store_true', help='say what is there and what is missing, and run nothing')
    args = parser.parse_args()
    there = {(row['name'], int(row['seed'])) for row in rows(HERE / 'runs.csv')}
    missing = [(name, flags, seed) for name, (flags, seeds) in RUNS.items() for seed in seeds
               if (name, seed) not in there and (not args.only or name in args.only)]
    missing.sort(key=lambda run: (run[0] != 'default', run[2]))     # all of the default, then one seed of each, and so on
    print(f'{len(there)} runs done, {len(missing)} missing')
    if args.list:
        print('\n'.join(f'{name} {seed}' for name, _, seed in missing))
        return
    with concurrent.futures.ThreadPoolExecutor(args.jobs) as pool:
        for line in pool.map(lambda run: do(*run, HERE / 'runs.csv'), missing):
            print(line, flush=True)


if __name__ == '__main__':
    main()
