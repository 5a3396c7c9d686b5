"""The flags that all scripts share, and how a run's settings follow from presets and flags."""
import argparse

from lsgan.errors import InputError
from lsgan.losses import LeastSquares

# settings that may differ when a run goes on: none of them changes what is computed
FREE = {'snapshot_interval', 'keep'}


class Parser(argparse.ArgumentParser):
    """An argument parser whose namespace holds only what was given, and whose help says the default preset's values.

    Args:
        doc (str): the script's docstring.
        presets (dict): name and dict of settings; `default` names every setting.
    """

    def __init__(self, doc, presets):
        super().__init__(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter,
                         argument_default=argparse.SUPPRESS, allow_abbrev=False)
        self.presets = presets

    def setting(self, *flags, help, group=None, **options):
        """Adds a flag whose default belongs to the preset."""
        name = max(flags, key=len).lstrip('-').replace('-', '_')
        default = self.presets['default'][name]
        if isinstance(default, list):
            default = ' '.join(map(str, default))
        (group or self).add_argument(*flags, help=f'{help} (default: {default})'.replace('%', '%%'), **options)

    def error(self, message):
        raise InputError(f'{message}; see {self.prog} --help')


def add_common(parser):
    """Adds the flags of every script."""
    add = parser.add_argument
    add('--preset', choices=list(parser.presets), help='set of defaults that the flags below override (default: default)')
    add('-o', '--out', metavar='DIR', help='run folder; must not hold a run yet (default: result/<experiment>)')
    add('-r', '--resume', nargs='?', const='', metavar='FILE',
        help='continue from a snapshot, without FILE the newest good one of the run folder, with the settings of the run')
    add('--iterations', type=positive, metavar='N',
        help='stop early, after N generator updates in all; schedules keep the length that --epoch gives')
    add('-d', '--device', help='-1 for the CPU, 0 or @cupy:0 for a GPU (default: -1)')
    add('-g', '--gpu', dest='device', help=argparse.SUPPRESS)
    add('--seed', type=natural, help='number that determines the run (default: 0)')

    run = parser.add_argument_group('length and reports, in generator updates')
    setting = parser.setting
    setting('-e', '--epoch', type=positive, group=run, help='length of the run in epochs')
    setting('--epoch-size', type=positive, group=run, metavar='N', help='updates in an epoch')
    setting('-b', '--batchsize', type=positive, group=run, help='examples in a batch')
    setting('--log-interval', type=positive, group=run, metavar='N', help='updates between two log entries')
    setting('--sample-interval', type=positive, group=run, metavar='N', help='updates between two sample pictures')
    setting('--snapshot-interval', type=positive, group=run, metavar='N', help='updates between two snapshots')
    setting('--keep', type=positive, group=run, metavar='N', help='how many of the newest snapshots stay')

    loss = parser.add_argument_group('loss')
    setting('--loss', choices=['lsgan', 'wgan', 'gan'], group=loss,
            help='least squares, Wasserstein with weight clipping, or the standard non-saturating GAN')
    setting('--scheme', choices=list(LeastSquares.SCHEMES), group=loss,
            help='targets a b c of the least squares loss: binary is 0 1 1, pearson is -1 1 0')
    loss.add_argument('--abc', nargs=3, type=number, metavar=('A', 'B', 'C'),
                      help='any targets: D gives generated data A and real data B, G wants C (default: those of --scheme)')
    setting('--n-critic', type=positive, group=loss, metavar='N', help='steps of D for each of G')
    setting('--clip', type=above_zero, group=loss, metavar='BOUND', help="bound of the critic's weights, with --loss wgan")

    optimizer = parser.add_argument_group('optimization')
    setting('--optimizer', choices=['adam', 'rmsprop'], group=optimizer, help='of both networks')
    setting('--lr-g', type=above_zero, group=optimizer, help="G's learning rate")
    setting('--lr-d', type=above_zero, group=optimizer, help="D's learning rate")
    setting('--beta1', type=decay, group=optimizer, help="Adam's decay of the mean gradient")
    setting('--lr-decay', type=fraction, group=optimizer, metavar='SHARE',
            help='share of the run, at its end, over which the learning rates fall linearly to 0')
    setting('--noise', type=not_negative, group=optimizer, metavar='SIGMA',
            help='instance noise on all that D sees at the start, a standard deviation in units of the data; 0 is none')
    setting('--noise-end', type=above_zero, group=optimizer, metavar='SIGMA',
            help='to which the instance noise falls geometrically, and there ends')
    setting('--noise-share', type=share, group=optimizer, metavar='SHARE',
            help='share of the run over which the instance noise falls')
    setting('--average', type=decay, group=optimizer, metavar='DECAY',
            help="decay of the moving average of G's weights, which is sampled from; 0 samples from the weights themselves")


def resolve(experiment, given, presets, saved=None):
    """All settings of a run.

    Args:
        experiment (str): the experiment's name.
        given (dict): what the user gave.
        presets (dict): see `Parser`; what a preset does not name is as in `default`. A dict in it, under the value that some
            setting may have, such as wgan, holds what differs where it has.
        saved (dict): the settings of the run that is resumed, or None.

    Returns:
        dict: of every setting by name, with `experiment`, `preset`, `seed` and `abc`.

    Raises:
        InputError: where a given setting contradicts the saved ones.
    """
    given = dict(given)
    if saved is not None:
        clash = [f'--{name.replace("_", "-")} is {_show(saved[name])} there and {_show(value)} here'
                 for name, value in given.items() if name in saved and name not in FREE and saved[name] != value]
        if saved['experiment'] != experiment:
            clash = [f'it is a run of train_{saved["experiment"]}.py']
        if clash:
            raise InputError('cannot resume: ' + ', '.join(clash) + '; leave these flags out, or start a new run with --out')
        return {**saved, **{name: value for name, value in given.items() if name in FREE}}
    preset = given.pop('preset', 'default')
    chosen = {**presets['default'], **presets[preset]}
    variants = {name: chosen.pop(name) for name, value in list(chosen.items()) if isinstance(value, dict)}
    settings = {'experiment': experiment, 'preset': preset, 'seed': 0, 'device': '-1', **chosen, **given}
    for name, variant in variants.items():
        if name in (value for value in settings.values() if isinstance(value, str)):
            settings.update({**variant, **given})
    if 0 < settings['noise'] <= settings['noise_end']:
        raise InputError(f'--noise {settings["noise"]} cannot fall to --noise-end {settings["noise_end"]}: '
                         'give a smaller end, or --noise 0 for none')
    if settings['loss'] != 'lsgan' and ('abc' in given or 'scheme' in given):
        raise InputError(f'--abc and --scheme belong to --loss lsgan, not to {settings["loss"]}')
    if 'abc' in given and 'scheme' in given:
        raise InputError('--abc and --scheme both give the targets: leave one of them out')
    settings.setdefault('abc', list(LeastSquares.SCHEMES[settings['scheme']]))
    settings['scheme'] = next((name for name, abc in LeastSquares.SCHEMES.items() if list(abc) == settings['abc']), 'custom')
    return settings


def _show(value):
    return ' '.join(map(str, value)) if isinstance(value, list) else value


def _kind(convert, accept, wanted):
    def parse(text):
        try:
            value = convert(text)
        except ValueError:
            value = None
        if value is None or not accept(value):
            raise argparse.ArgumentTypeError(f'{text!r} is not {wanted}')
        return value
    return parse


natural = _kind(int, lambda v: v >= 0, 'a whole number from 0')
positive = _kind(int, lambda v: v > 0, 'a whole number from 1')
number = _kind(float, lambda v: abs(v) < float('inf'), 'a number')
not_negative = _kind(float, lambda v: 0 <= v < float('inf'), 'a number from 0')
above_zero = _kind(float, lambda v: 0 < v < float('inf'), 'a number above 0')
share = _kind(float, lambda v: 0 < v <= 1, 'a number above 0, at most 1')
decay = _kind(float, lambda v: 0 <= v < 1, 'a number from 0 to below 1')
fraction = _kind(float, lambda v: 0 <= v <= 1, 'a number from 0 to 1')
