"""Make the runs in the tables of README.md and layouts.md, and write one row for each run to GROUP.csv.

    python results/gaussian/sweep.py runs               make the missing rows of the group runs, one run at a time
    python results/gaussian/sweep.py layouts --jobs 2   make two runs of the group layouts at a time
    python results/gaussian/sweep.py --only default     make only the runs named default
    python results/gaussian/sweep.py --list             list the rows that exist and those that are missing

An interrupted run continues where it stopped. A finished run appends its row with the git commit that made it. Its run folder
in result/sweep is kept for pictures. Start from a clean checkout, so that the commit describes the code.
"""
import pathlib
import sys

from lsgan.training.sweep import main

HERE = pathlib.Path(__file__).resolve().parent
SCRIPT = HERE.parent.parent / 'train_gaussian.py'
METRICS = ('iteration', 'modes_total', 'modes_captured', 'modes_fair', 'high_quality', 'spread_min', 'spread_max',
           'sliced_wasserstein', 'sliced_wasserstein_floor', 'images_per_second')

TEN, FIVE, THREE = range(10), range(5), range(3)
# name: (flags, seeds)
GROUPS = {'runs': {
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
}, 'layouts': {
    'two rings': ('--data double-ring', FIVE),
    '25 modes': ('--data grid', FIVE),
    '25 modes pearson': ('--data grid --scheme pearson', THREE),
    '25 modes gan': ('--data grid --loss gan', THREE),
    '25 modes wgan': ('--data grid --loss wgan', THREE),
    'two rings pearson': ('--data double-ring --scheme pearson', THREE),
    'two rings gan': ('--data double-ring --loss gan', THREE),
    'two rings wgan': ('--data double-ring --loss wgan', THREE),
    '25 modes without random biases': ('--data grid --init-bias 0', THREE),
    '100 modes': ('--data grid --modes 10', THREE),
}}

if __name__ == '__main__':
    sys.exit(main(__doc__, SCRIPT, HERE, GROUPS, METRICS))
