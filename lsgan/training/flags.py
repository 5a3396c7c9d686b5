"""The flags that all scripts share, and how a run's settings follow from presets and flags."""
import argparse
import os
import textwrap

from chainer import initializers

from lsgan import functions
from lsgan.errors import InputError
from lsgan.functions.perceptron import ACTIVATIONS
from lsgan.losses import LOSSES, LeastSquares
from lsgan.training import parallel, snapshot

# name: from a learning rate and Adam's two decays to an optimizer, and its attribute that is the rate
OPTIMIZERS = {
    'adam': (functions.Adam, 'alpha'),
    'rmsprop': (lambda rate, *_: functions.RMSprop(rate), 'lr'),
    'sgd': (lambda rate, *_: functions.SGD(rate), 'lr'),
}

# name: from a scale, of normal weights their standard deviation, to the distribution of initial weights
INITIALIZERS = {
    'he': initializers.HeNormal,
    'orthogonal': initializers.Orthogonal,
    'normal': initializers.Normal,
    'lecun': initializers.LeCunNormal,
}

# what presets have with --loss wgan: Arjovsky et al. 2017, algorithm 1; of its updates, which take five batches of real
# examples each, they have fewer, so that every loss sees as many examples
WGAN = {'optimizer': 'rmsprop', 'lr_g': 5e-5, 'lr_d': 5e-5, 'n_critic': 5, 'clip': 0.01}

# flags that only some settings read: name, what they are for, whether the settings read them
_READERS = {
    'scheme': ('--loss lsgan', lambda s: s['loss'] == 'lsgan'),
    'abc': ('--loss lsgan', lambda s: s['loss'] == 'lsgan'),
    'clip': ('--loss wgan', lambda s: s['loss'] == 'wgan'),
    'beta1': ('--optimizer adam', lambda s: s['optimizer'] == 'adam'),
    'beta2': ('--optimizer adam', lambda s: s['optimizer'] == 'adam'),
    'init_std': ('--init normal', lambda s: s['init'] == 'normal'),
    'noise_end': ('a --noise above 0', lambda s: s['noise'] > 0),
    'noise_share': ('a --noise above --noise-end', lambda s: s['noise'] > s['noise_end']),
    'background': ('--images', lambda s: s['images']),
    'channels': ('--images', lambda s: s['images']),
}


class OneLineParser(argparse.ArgumentParser):
    """An argument parser that complains in one line, by `InputError`."""

    def error(self, message):
        raise InputError(f'{message}; see {self.prog} --help')


class Steps(argparse.Action):
    """Keeps pairs of an epoch and a share, [[epoch, share], ...]."""

    def __call__(self, parser, namespace, values, option_string=None):
        epochs, shares = values[::2], values[1::2]
        if len(epochs) != len(shares) or sorted(set(epochs)) != epochs or any(e % 1 for e in epochs) or max(shares) > 1:
            raise argparse.ArgumentError(self, 'pairs of an epoch and a share of 0 to 1 are needed, the epochs rising')
        setattr(namespace, self.dest, [[int(epoch), share] for epoch, share in zip(epochs, shares)])


class Parser(OneLineParser):
    """The parser of a training script: its namespace holds only what was given, its help tells the presets.

    Args:
        experiment (str): the script's, of the same name as its default run folder.
        doc (str): the script's docstring.
        presets (dict): of each preset by name a dict with `about`, a line for the help, and settings. `default` has every
            setting, the others what differs. Under `variants` it may have, for a setting and one value of it, what differs
            where it has that value; a preset's variants for a setting stand in for all of `default`'s for it.
    """

    def __init__(self, experiment, doc, presets):
        super().__init__(usage='%(prog)s [FLAG ...]', description=doc, formatter_class=argparse.RawDescriptionHelpFormatter,
                         argument_default=argparse.SUPPRESS, allow_abbrev=False, epilog=_tell(presets).replace('%', '%%'))
        self.experiment, self.presets = experiment, presets

    def setting(self, *flags, help, group=None, **options):
        """Adds a flag whose default belongs to the preset."""
        default = self.presets['default'][max(flags, key=len).lstrip('-').replace('-', '_')]
        (group or self).add_argument(*flags, default=argparse.SUPPRESS,
                                     help=f'{help} (default: {_show(default)})'.replace('%', '%%'), **options)


def _tell(presets):
    """What each preset is, and the flags that it stands for, for the help."""
    lines = ['presets; each stands for these flags, and the flags given beside it have the last word:']
    for name, preset in presets.items():
        lines.append(f'  {name}: {preset["about"]}')
        if name != 'default':
            lines += _as_flags(preset)
        for (setting, value), variant in preset.get('variants', {}).items():
            lines += [f'    with {_flag(setting)} {value}:', *_as_flags(variant)]
    return '\n'.join(lines).replace('\0', ' ')


def _as_flags(settings):
    flags = [f'{_flag(name)} {_show(value)}' for name, value in settings.items()
             if name not in ('about', 'variants') and value not in (None, [])]      # which no flag can say
    return textwrap.wrap(' '.join(flag.replace(' ', '\0') for flag in flags), 100, initial_indent=' ' * 8,
                         subsequent_indent=' ' * 8, break_on_hyphens=False)


def add_common(parser):
    """Adds the flags of every script."""
    add = parser.add_argument
    add('--preset', choices=list(parser.presets), help='set of defaults that the flags below override (default: default)')
    add('-o', '--out', metavar='DIR', help=f'run folder; must not hold a run yet (default: result/{parser.experiment})')
    add('-r', '--resume', nargs='?', const='', metavar='FILE|DIR',
        help='continue from a snapshot, or from the newest good one of a run folder (default: of --out), with the settings of '
             'that run; --epoch may differ')
    add('--iterations', type=positive, metavar='N',
        help='stop early, after N generator updates in all; schedules keep the length that --epoch gives')
    add('--reshard', action='store_true',
        help='with --resume, go on with another number of processes than before; from there on it is another run, with new '
             'random numbers')
    add('-d', '--device', type=device,
        help='-1 or @numpy for the CPU, 0 or @cupy:0 for a GPU (default: auto, the first GPU where that works, '
             'else the CPU); a run that is resumed stays where it began')
    add('-g', '--gpu', dest='device', type=device, help=argparse.SUPPRESS)
    add('--seed', type=seed, metavar='N', help='number that determines the run (default: 0)')
    parser.setting('--init-from', type=path, metavar='RUN',
                   help="begin with the weights of both networks in another run's newest snapshot, which are to be as large")

    run = parser.add_argument_group('length and reports')
    setting = parser.setting
    setting('-e', '--epoch', type=positive, group=run, metavar='N',
            help='length of the run in epochs; it may change with --resume, which recomputes the schedules for the new length')
    setting('--epoch-size', type=positive, group=run, metavar='N',
            help='generator updates in an epoch; the intervals of metrics, samples and snapshots that are not given follow it')
    setting('-b', '--batchsize', type=positive, group=run,
            help='examples in a batch, of all processes together; their number must divide it')
    setting('--log-interval', type=positive, group=run, metavar='N', help='updates between two log entries')
    setting('--metric-interval', type=positive, group=run, metavar='N',
            help='updates between two measurements of the metrics, a multiple of those between log entries')
    setting('--sample-interval', type=positive, group=run, metavar='N',
            help='updates between two sample pictures; one more is made where a run stops')
    setting('--snapshot-interval', type=positive, group=run, metavar='N', help='updates between two snapshots')
    setting('--keep', type=positive, group=run, metavar='N', help='how many of the newest snapshots stay')

    loss = parser.add_argument_group('loss')
    setting('--loss', choices=list(LOSSES), group=loss,
            help='least squares, Wasserstein with weight clipping, or the standard non-saturating GAN')
    setting('--scheme', choices=list(LeastSquares.SCHEMES), group=loss,
            help='targets a b c of the least squares loss: binary is 0 1 1, pearson is -1 1 0')
    loss.add_argument('--abc', nargs=3, type=number, metavar=('A', 'B', 'C'),
                      help='any targets: D gives generated data A and real data B, G wants C (default: those of --scheme)')
    setting('--split-discriminator-update', action=argparse.BooleanOptionalAction, group=loss,
            help="make two optimizer steps of each of D's: one on real data's term of the loss, then one on generated data's")
    setting('--n-critic', type=positive, group=loss, metavar='N', help='steps of D for each of G')
    setting('--clip', type=above_zero, group=loss, metavar='BOUND', help="bound of the critic's weights, with --loss wgan")

    optimizer = parser.add_argument_group('optimization')
    setting('--optimizer', choices=list(OPTIMIZERS), group=optimizer, help='of both networks')
    setting('--lr-g', type=above_zero, group=optimizer, help="G's learning rate")
    setting('--lr-d', type=above_zero, group=optimizer, help="D's learning rate")
    setting('--beta1', type=decay, group=optimizer, help="Adam's decay of the mean gradient")
    setting('--beta2', type=decay, group=optimizer,
            help="Adam's decay of the mean squared gradient; a smaller one bounds the step after a sudden large gradient")
    setting('--lr-decay', type=fraction, group=optimizer, metavar='SHARE',
            help='share of the run, at its end, over which the learning rates fall linearly to 0')
    setting('--lr-steps', type=not_negative, nargs='+', action=Steps, group=optimizer, metavar='EPOCH SHARE',
            help="from that epoch on the learning rates are that share of their first values; instead of --lr-decay; "
                 "49 0.5 99 0.1 149 0.05 199 0.01 is what the blog post's code for anime faces had and did not call")
    setting('--clip-gradient', type=not_negative, group=optimizer, metavar='NORM',
            help="scale each network's whole gradient down to this norm where it is longer; 0 does not")
    setting('--gradient-norms', action=argparse.BooleanOptionalAction, group=optimizer,
            help="log the norms of both networks' gradients, before clipping; of a split update that of the second step")
    setting('--noise', type=not_negative, group=optimizer, metavar='SIGMA',
            help='instance noise on all that D sees at the start, a standard deviation in units of the data; 0 is none')
    setting('--noise-end', type=above_zero, group=optimizer, metavar='SIGMA',
            help='to which the instance noise falls geometrically, and there ends; noise that is not above it stays as it is')
    setting('--noise-share', type=share, group=optimizer, metavar='SHARE',
            help='share of the run over which the instance noise falls')
    setting('--average', type=decay, group=optimizer, metavar='DECAY',
            help="decay of the moving average of G's weights, which is sampled from; 0 samples from the weights themselves")

    mpi = parser.add_argument_group('several processes (mpiexec -n N)')
    setting('--communicator', choices=parallel.COMMUNICATORS, group=mpi,
            help='how gradients are averaged: pure_nccl by NCCL between GPUs, flat by an MPI library that reads GPU memory, '
                 'naive by MPI through main memory, or auto, which takes pure_nccl if every process has a GPU and NCCL, and '
                 'naive otherwise')
    setting('--sync-norm', action=argparse.BooleanOptionalAction, group=mpi,
            help='let batch normalisation use the mean and variance of the whole batch, not of the part of each process; this '
                 'takes two more exchanges for each layer')

    gpu = parser.add_argument_group('computing on a GPU')
    setting('--tf32', action=argparse.BooleanOptionalAction, group=gpu,
            help='round the inputs of matrix products and convolutions to TF32, which has 10 bits of mantissa, and add up in '
                 'float32; several times as fast on GPUs since Ampere')
    setting('--deterministic', action=argparse.BooleanOptionalAction, group=gpu,
            help='let cuDNN choose only algorithms that give the same bits every time, so that the seed determines the run; '
                 '--no-deterministic allows faster ones')
    setting('--graph', action=argparse.BooleanOptionalAction, group=gpu,
            help='capture an update as a CUDA graph and replay it, which computes the same with far less work for the CPU; '
                 'use --no-graph for debugging and profiling, or if memory is short')


def add_networks(parser, latent, hidden_g, hidden_d):
    """Adds the flags of networks that every script has, in a group that is returned, with these words on three of them."""
    nets = parser.add_argument_group('networks')
    parser.setting('--latent', type=positive, group=nets, metavar='N', help=latent)
    for net, hidden in ('g', hidden_g), ('d', hidden_d):
        parser.setting(f'--hidden-{net}', type=positive, nargs='+', group=nets, metavar='N', help=hidden)
        parser.setting(f'--activation-{net}', choices=list(ACTIVATIONS), group=nets, help=f"of {net.upper()}'s hidden layers")
    parser.setting('--init', choices=list(INITIALIZERS), group=nets, help='distribution of the initial weights')
    return nets


def image_weights(init, std):
    """The initializer that is so called; the standard deviation is for normal weights only."""
    return INITIALIZERS[init](std) if init == 'normal' else INITIALIZERS[init]()


def resolve(experiment, given, presets, saved=None):
    """All settings of a run.

    Args:
        experiment (str): the experiment's name.
        given (dict): what the user gave.
        presets (dict): see `Parser`.
        saved (dict): the settings of the run that is resumed, or None.

    Returns:
        dict: of every setting by name, with `experiment`, `preset`, `seed`, `abc` and `device`, of a new run perhaps auto.

    Raises:
        InputError: where a given setting contradicts the saved ones or is one that nothing reads.
    """
    if saved is not None:
        # a run stays where it began
        given = {name: value for name, value in given.items() if (name, value) != ('device', 'auto')}
    preset = given.get('preset', 'default')
    chosen = {**presets['default'], **presets[preset]}
    own, variants = (presets[name].get('variants', {}) for name in (preset, 'default'))
    variants = {**own, **{key: variant for key, variant in variants.items() if key[0] not in {setting for setting, _ in own}}}
    del chosen['about']
    chosen.pop('variants', None)
    usual = chosen['epoch_size']
    for (setting, value), variant in variants.items():
        if {**chosen, **given}[setting] == value:
            chosen.update(variant)
    settings = {'experiment': experiment, 'preset': preset, 'seed': 0, 'device': 'auto', **chosen, **given}
    for name in {'metric_interval', 'sample_interval', 'snapshot_interval'} - given.keys():     # as often in an epoch as there
        settings[name] = max(1, chosen[name] * settings['epoch_size'] // usual)
    for one, other, none in ('lr_steps', 'lr_decay', 0.0), ('lr_decay', 'lr_steps', []):
        if one in given and other not in given:     # what is given stands instead of the preset's
            settings[other] = none
    if 'metric_interval' not in given:      # metrics stand in log entries
        settings['metric_interval'] = -(-settings['metric_interval'] // settings['log_interval']) * settings['log_interval']
    settings.setdefault('abc', list(LeastSquares.SCHEMES[settings['scheme']]))
    settings['scheme'] = next((name for name, abc in LeastSquares.SCHEMES.items() if list(abc) == settings['abc']), 'custom')
    if saved is not None:
        _require_same_run(settings, given, saved)
        return {**saved, **{name: value for name, value in given.items() if name in snapshot.free(saved)}}
    for name, (reader, reads) in _READERS.items():
        if name in given and not reads(settings):
            raise InputError(f'{_flag(name)} is for {reader}; leave it out')
    if settings['metric_interval'] % settings['log_interval']:
        raise InputError(f'--metric-interval {settings["metric_interval"]} must be a multiple of --log-interval '
                         f'{settings["log_interval"]}: metrics stand in log entries')
    if settings['lr_steps'] and settings['lr_decay']:
        raise InputError('--lr-steps and --lr-decay both set the learning rates: leave one of them out')
    if 'abc' in given and 'scheme' in given:
        raise InputError('--abc and --scheme both give the targets: leave one of them out')
    return settings


def _require_same_run(settings, given, saved):
    if saved['experiment'] != settings['experiment']:
        raise InputError(f'cannot resume: a run of train_{saved["experiment"]}.py')
    missing = settings.keys() - saved.keys()
    if missing:
        raise InputError(f'cannot resume: made by another version of lsgan ({", ".join(map(_flag, sorted(missing)))} missing)')
    clash = [f'{_flag(name)} is {_show(saved[name])} there and {_show(given[name])} here'
             for name in snapshot.contradictions(given, saved)]
    if clash:
        raise InputError(f'cannot resume: {", ".join(clash)}; leave these flags out, or start a new run with --out, from '
                         'its weights by --init-from where the networks are the same')


def _flag(name):
    return '--' + name.replace('_', '-')


def _show(value):
    if value in (None, []):
        return 'none'
    if isinstance(value, bool):
        return 'on' if value else 'off'
    return ' '.join(map(str, map(_show, value))) if isinstance(value, list) else value


def device(text):
    """Chainer's full name of a device: -1 is @numpy, 0 is @cupy:0; `auto` and full names stay."""
    try:
        number = int(text)
    except ValueError:
        if text != 'auto' and not text.startswith('@'):
            raise argparse.ArgumentTypeError(f'{text!r} is not auto, -1 or @numpy, 0 or @cupy:0') from None
        return text
    return '@numpy' if number < 0 else f'@cupy:{number}'


def path(text):
    """A path that means the same from every folder."""
    if not text:
        raise argparse.ArgumentTypeError('an empty path')
    return os.path.realpath(os.path.expanduser(text))


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


seed = _kind(int, lambda v: 0 <= v < 2 ** 32, 'a whole number from 0 to 4294967295')
positive = _kind(int, lambda v: v > 0, 'a whole number from 1')
epoch = _kind(lambda v: v if v == 'end' else int(v), lambda v: v == 'end' or v > 0, 'a whole number from 1, or end')
numbers = _kind(lambda v: [*map(int, v.split(','))], bool, 'whole numbers with commas between them, such as 3,17,8')
at_least_two = _kind(int, lambda v: v > 1, 'a whole number from 2')
number = _kind(float, lambda v: abs(v) < float('inf'), 'a number')
not_negative = _kind(float, lambda v: 0 <= v < float('inf'), 'a number from 0')
above_zero = _kind(float, lambda v: 0 < v < float('inf'), 'a number above 0')
length = _kind(float, lambda v: 1e-6 <= v <= 1e6, 'a number from 1e-6 to 1e6')
share = _kind(float, lambda v: 0 < v <= 1, 'a number above 0, at most 1')
decay = _kind(float, lambda v: 0 <= v < 1, 'a number from 0 to below 1')
fraction = _kind(float, lambda v: 0 <= v <= 1, 'a number from 0 to 1')
