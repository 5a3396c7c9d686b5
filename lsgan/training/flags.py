"""The flags that all training scripts share, and the settings of a run, made from presets and flags."""
import argparse
import os
import textwrap
from typing import Any, NoReturn

import chainer
from chainer import initializers

from lsgan import functions
from lsgan.errors import InputError
from lsgan.functions.perceptron import ACTIVATIONS
from lsgan.losses import LOSSES, LeastSquares
from lsgan.penalties import PENALTIES
from lsgan.training import parallel, snapshot

Presets = dict[str, dict[str, Any]]
# for each name: a function from learning rate, beta1 and beta2 to an optimizer, and the attribute with its learning rate
OPTIMIZERS = {
    'adam': (functions.Adam, 'alpha'),
    'rmsprop': (lambda rate, *_: functions.RMSprop(rate), 'lr'),
    'sgd': (lambda rate, *_: functions.SGD(rate), 'lr'),
}

# for each name: a function from a scale to an initializer; for normal, the scale is the standard deviation
INITIALIZERS = {
    'he': initializers.HeNormal,
    'orthogonal': initializers.Orthogonal,
    'normal': initializers.Normal,
    'lecun': initializers.LeCunNormal,
}

# Settings of presets with --loss wgan (Arjovsky et al. 2017, algorithm 1). Each update takes five batches of real examples, so
# the presets also reduce the number of updates. Then every loss sees equally many real examples.
WGAN = {'optimizer': 'rmsprop', 'lr_g': 5e-5, 'lr_d': 5e-5, 'n_critic': 5, 'clip': 0.01}

# flags that have an effect only with some settings: name, what it needs, and a function that tells whether settings have that
_READERS = {
    'scheme': ('--loss lsgan', lambda s: s['loss'] == 'lsgan'),
    'abc': ('--loss lsgan', lambda s: s['loss'] == 'lsgan'),
    'clip': ('--loss wgan --gradient-penalty none', lambda s: s['loss'] == 'wgan' and s['gradient_penalty'] == 'none'),
    'penalty_weight': ('--gradient-penalty', lambda s: s['gradient_penalty'] != 'none'),
    'beta1': ('--optimizer adam', lambda s: s['optimizer'] == 'adam'),
    'beta2': ('--optimizer adam', lambda s: s['optimizer'] == 'adam'),
    'init_std': ('--init normal', lambda s: s['init'] == 'normal'),
    'noise_end': ('a --noise above 0', lambda s: s['noise'] > 0),
    'noise_share': ('a --noise above --noise-end', lambda s: s['noise'] > s['noise_end']),
    'background': ('--images', lambda s: s['images']),
    'channels': ('--images', lambda s: s['images']),
}


class OneLineParser(argparse.ArgumentParser):
    """An argument parser that reports errors as an `InputError`, which becomes a one-line message."""

    def error(self, message: str) -> NoReturn:
        raise InputError(f'{message}; see {self.prog} --help')


class Steps(argparse.Action):
    """An argparse action that stores pairs of an epoch and a factor as a list, [[epoch, factor], ...]."""

    def __call__(self, parser: argparse.ArgumentParser, namespace: argparse.Namespace, values: Any,
                 option_string: str | None = None) -> None:
        epochs, shares = values[::2], values[1::2]
        if len(epochs) != len(shares) or sorted(set(epochs)) != epochs or any(e % 1 for e in epochs) or max(shares) > 1:
            raise argparse.ArgumentError(self, 'pass pairs of a whole epoch and a factor from 0 to 1, with rising epochs')
        setattr(namespace, self.dest, [[int(epoch), share] for epoch, share in zip(epochs, shares)])


class Parser(OneLineParser):
    """The argument parser of a training script.

    Its namespace holds only the flags that were given, and its help lists the presets.

    Args:
        experiment: name of the experiment, which is also the name of its default run folder.
        doc: docstring of the script.
        presets: from the name of each preset to a dict of its settings. `default` has every setting, the others only
            those that differ from it. The key `about` holds a description for the help. The key `variants` is optional; it
            holds a dict from (setting, value) to the settings that differ when that setting has that value, or None for a
            flag that is not given. If a preset has variants for a setting, those of `default` for the same setting do not
            apply to it.
    """

    def __init__(self, experiment: str, doc: str | None, presets: Presets):
        super().__init__(usage='%(prog)s [FLAG ...]', description=doc, formatter_class=argparse.RawDescriptionHelpFormatter,
                         argument_default=argparse.SUPPRESS, allow_abbrev=False, epilog=_tell(presets).replace('%', '%%'))
        self.experiment, self.presets = experiment, presets

    def setting(self, *flags: str, help: str, group: argparse._ArgumentGroup | None = None, **options: Any) -> None:
        """Add a flag whose default value depends on the preset.

        Args:
            flags: names of the flag, the longest of which names the setting.
            help: help text; the value in the preset `default` is appended to it.
            group: argument group that the flag belongs to, or None.
            options: other arguments of `add_argument`.
        """
        default = self.presets['default'][max(flags, key=len).lstrip('-').replace('-', '_')]
        (group or self).add_argument(*flags, default=argparse.SUPPRESS,
                                     help=f'{help} (default: {_show(default)})'.replace('%', '%%'), **options)


def _tell(presets):
    """Return the end of the help: for each preset its description and the flags that it stands for."""
    lines = ['presets; each stands for these flags, and flags given beside it override them:']
    for name, preset in presets.items():
        lines += textwrap.wrap(f'  {name}: {preset["about"]}', 108, subsequent_indent=' ' * 4, break_on_hyphens=False)
        if name != 'default':
            lines += _as_flags(preset)
        for (setting, value), variant in preset.get('variants', {}).items():
            if variant:
                condition = f'without {_flag(setting)}' if value is None else f'with {_flag(setting)} {value}'
                lines += [f'    {condition}:', *_as_flags(variant)]
    return '\n'.join(lines).replace('\0', ' ')


def _as_flags(settings):
    """Return settings as command-line flags, in lines of text."""
    flags = [_flag(name) if value is True else f'{_flag(name)} {_show(value)}' for name, value in settings.items()
             if name not in ('about', 'variants') and value not in (None, [])]      # values that no flag can give
    return textwrap.wrap(' '.join(flag.replace(' ', '\0') for flag in flags), 100, initial_indent=' ' * 8,
                         subsequent_indent=' ' * 8, break_on_hyphens=False)


def add_common(parser: Parser) -> None:
    """Add the flags that every training script has."""
    add = parser.add_argument
    add('--preset', choices=list(parser.presets),
        help='set of default values, which every other flag overrides; the end of this help lists them (default: default)')
    add('-o', '--out', metavar='DIR',
        help=f'run folder to write to (default: result/{parser.experiment}); a new run needs a new folder')
    add('-r', '--resume', nargs='?', const='', metavar='FILE|DIR',
        help='continue a run from a snapshot file, or from the newest good snapshot in a run folder (default: the folder of '
             '--out); the run keeps its settings, except that --epoch may change its length')
    add('--iterations', type=positive, metavar='N',
        help='stop after N generator updates in total (default: the whole run); schedules still follow --epoch, so a run that '
             'is resumed later equals one that never stopped')
    add('--reshard', action='store_true',
        help='with --resume, continue with another number of processes; every process then draws new random numbers, so the '
             'result differs from a run with a constant number of processes')
    add('-d', '--device', type=device,
        help='device to train on: -1 or @numpy for the CPU, 0 or @cupy:0 for the first GPU (default: auto, which is the first '
             'GPU, or the CPU if no GPU works); a resumed run stays on its device')
    add('-g', '--gpu', dest='device', type=device, help=argparse.SUPPRESS)
    add('--seed', type=seed, metavar='N', help='random seed, which determines the run on a given kind of device (default: 0)')
    parser.setting('--init-from', type=path, metavar='RUN',
                   help='initialise both networks from the newest snapshot of another run; all layer sizes must match')

    run = parser.add_argument_group('length, log and snapshots')
    setting = parser.setting
    setting('-e', '--epoch', type=positive, group=run, metavar='N',
            help='length of the run, in epochs; with --resume it may change, and schedules are recomputed for the new length')
    setting('--epoch-size', type=positive, group=run, metavar='N',
            help='length of an epoch, in generator updates; --metric-interval, --sample-interval and --snapshot-interval '
                 'change in proportion, unless they are given')
    setting('-b', '--batchsize', type=positive, group=run, metavar='N',
            help='number of examples in a batch, over all processes together; must be divisible by the number of processes')
    setting('--log-interval', type=positive, group=run, metavar='N', help='generator updates between two log entries')
    setting('--metric-interval', type=positive, group=run, metavar='N',
            help='generator updates between two evaluations of the metrics; must be a multiple of --log-interval')
    setting('--sample-interval', type=positive, group=run, metavar='N',
            help='generator updates between two pictures of samples; one more is drawn when the run stops')
    setting('--snapshot-interval', type=positive, group=run, metavar='N', help='generator updates between two snapshots')
    setting('--keep', type=positive, group=run, metavar='N', help='number of snapshots to keep; older ones are deleted')
    setting('--tensorboard', action=argparse.BooleanOptionalAction, group=run,
            help='also write log entries and sample pictures as event files for TensorBoard, to the folder tensorboard in the '
                 'run folder; needs the extra tensorboard')

    loss = parser.add_argument_group('loss')
    setting('--loss', choices=list(LOSSES), group=loss,
            help='loss of both networks: lsgan is least squares, wgan is Wasserstein with weight clipping or a gradient '
                 'penalty, gan is the standard non-saturating loss')
    setting('--scheme', choices=list(LeastSquares.SCHEMES), group=loss,
            help='targets a, b, c of the least squares loss: binary is 0, 1, 1 and pearson is -1, 1, 0')
    loss.add_argument('--abc', nargs=3, type=number, metavar=('A', 'B', 'C'),
                      help="other targets of the least squares loss: D's outputs are trained towards A for generated data and "
                           'B for real data, and G is trained to make them C (default: the targets of --scheme)')
    setting('--split-discriminator-update', action=argparse.BooleanOptionalAction, group=loss,
            help='split each step of D into two optimizer steps: one for the loss on real data, then one for the loss on '
                 'generated data')
    setting('--n-critic', type=positive, group=loss, metavar='N', help='number of steps of D for each step of G')
    setting('--clip', type=above_zero, group=loss, metavar='BOUND',
            help='with --loss wgan and no gradient penalty, clip the weights of D to [-BOUND, BOUND] after each step')
    setting('--gradient-penalty', choices=['none', *PENALTIES], group=loss,
            help="penalty on the gradient of D's output with respect to its input: wgan-gp keeps its norm near 1 between real "
                 'and generated data, dragan keeps it near 1 around real data, and r1 keeps it small on real data; with '
                 '--loss wgan, any penalty replaces weight clipping')
    usual = ', '.join(f'{weight:g} for {name}' for name, (_, weight) in PENALTIES.items())
    loss.add_argument('--penalty-weight', type=above_zero, metavar='WEIGHT',
                      help=f"weight of the gradient penalty in D's loss (default: {usual})")

    optimizer = parser.add_argument_group('optimisation')
    setting('--optimizer', choices=list(OPTIMIZERS), group=optimizer, help='optimizer of both networks')
    setting('--lr-g', type=above_zero, group=optimizer, metavar='RATE', help='initial learning rate of G')
    setting('--lr-d', type=above_zero, group=optimizer, metavar='RATE', help='initial learning rate of D')
    setting('--beta1', type=decay, group=optimizer, metavar='DECAY',
            help="exponential decay rate of Adam's mean of the gradients")
    setting('--beta2', type=decay, group=optimizer, metavar='DECAY',
            help="exponential decay rate of Adam's mean of the squared gradients; a smaller value limits the step after a "
                 'sudden large gradient')
    setting('--lr-decay', type=fraction, group=optimizer, metavar='FRACTION',
            help='fraction of the run, at its end, over which the learning rates fall linearly to 0; 0 keeps them constant')
    setting('--lr-steps', type=not_negative, nargs='+', action=Steps, group=optimizer, metavar='EPOCH FACTOR',
            help='multiply the initial learning rates by FACTOR after EPOCH epochs, until the next pair; cannot be combined '
                 "with --lr-decay. The blog post's code for anime faces defines the schedule 49 0.5 99 0.1 149 0.05 199 0.01, "
                 'but never calls it')
    setting('--clip-gradient', type=not_negative, group=optimizer, metavar='NORM',
            help='scale the gradient of each network down to this L2 norm if it is larger; 0 turns clipping off')
    setting('--gradient-norms', action=argparse.BooleanOptionalAction, group=optimizer,
            help="log each network's gradient norm before clipping (with --split-discriminator-update, the norm of the second "
                 'step)')
    setting('--noise', type=not_negative, group=optimizer, metavar='SIGMA',
            help='initial standard deviation of the instance noise, in units of the data; instance noise is Gaussian noise on '
                 'all inputs of D, and 0 turns it off')
    setting('--noise-end', type=above_zero, group=optimizer, metavar='SIGMA',
            help='standard deviation at which the instance noise is switched off, after decaying geometrically from --noise; '
                 'with --noise at or below it, the noise stays constant')
    setting('--noise-share', type=share, group=optimizer, metavar='FRACTION',
            help='fraction of the run over which the instance noise decays from --noise to --noise-end')
    setting('--average', type=decay, group=optimizer, metavar='DECAY',
            help="decay rate of the moving average (EMA) of G's weights, from which samples are drawn; 0 draws them from the "
                 'weights themselves')

    mpi = parser.add_argument_group('several processes (mpiexec -n N)')
    setting('--communicator', choices=parallel.COMMUNICATORS, group=mpi,
            help='how to average gradients over processes: naive uses MPI and main memory, flat uses an MPI library that can '
                 'read GPU memory, and pure_nccl uses NCCL between GPUs; auto chooses pure_nccl if every process has a GPU '
                 'and NCCL, and otherwise naive')
    setting('--sync-norm', action=argparse.BooleanOptionalAction, group=mpi,
            help='let batch normalisation use the mean and variance of the whole batch, instead of the part in each process; '
                 'this needs two more exchanges between processes per layer')

    gpu = parser.add_argument_group('computation on a GPU')
    setting('--tf32', action=argparse.BooleanOptionalAction, group=gpu,
            help='round the inputs of matrix products and convolutions to TF32 (10 bits of mantissa) and add up in float32; '
                 'this is several times as fast on GPUs of the Ampere generation or later')
    setting('--deterministic', action=argparse.BooleanOptionalAction, group=gpu,
            help='use only deterministic algorithms of cuDNN, so that the random seed determines the run; --no-deterministic '
                 'also allows faster ones')
    setting('--graph', action=argparse.BooleanOptionalAction, group=gpu,
            help='record an update and replay it, on a GPU as a CUDA graph; this gives the same results with much less work '
                 'in Python; use --no-graph for debugging, for profiling, or if memory is short')


def add_networks(parser: Parser, latent: str, hidden_g: str, hidden_d: str) -> argparse._ArgumentGroup:
    """Add the flags for networks that every training script has.

    Args:
        parser: the parser to add them to.
        latent, hidden_g, hidden_d: help texts of --latent, --hidden-g and --hidden-d.

    Returns:
        The argument group of these flags, for further flags.
    """
    nets = parser.add_argument_group('networks')
    parser.setting('--latent', type=positive, group=nets, metavar='N', help=latent)
    for net, hidden in ('g', hidden_g), ('d', hidden_d):
        parser.setting(f'--hidden-{net}', type=positive, nargs='+', group=nets, metavar='N', help=hidden)
        parser.setting(f'--activation-{net}', choices=list(ACTIVATIONS), group=nets,
                       help=f'activation of the hidden layers of {net.upper()}')
    parser.setting('--init', choices=list(INITIALIZERS), group=nets, help='distribution of the initial weights')
    return nets


def image_weights(init: str, std: float) -> chainer.Initializer:
    """Return an initializer for networks of images.

    Args:
        init: name of the initializer.
        std: standard deviation of the weights; only normal uses it.
    """
    return INITIALIZERS[init](std) if init == 'normal' else INITIALIZERS[init]()


def resolve(experiment: str, given: dict, presets: Presets, saved: dict | None = None) -> dict:
    """Return all settings of a run.

    Args:
        experiment: name of the experiment.
        given: the settings that the user gave as flags.
        presets: see `Parser`.
        saved: settings of the run to resume, or None for a new run.

    Returns:
        A dict from the name of each setting to its value. It includes `experiment`, `preset`, `seed`, `abc` and `device`,
        which can be auto for a new run.

    Raises:
        InputError: if given settings contradict each other or the saved ones, or have no effect with the others.
    """
    if saved is not None:
        # A resumed run stays on its device.
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
    for name in {'metric_interval', 'sample_interval', 'snapshot_interval'} - given.keys():     # same number per epoch
        settings[name] = max(1, chosen[name] * settings['epoch_size'] // usual)
    for one, other, none in ('lr_steps', 'lr_decay', 0.0), ('lr_decay', 'lr_steps', []):
        if one in given and other not in given:     # a given schedule replaces that of the preset
            settings[other] = none
    if 'metric_interval' not in given:      # metrics are written with log entries
        settings['metric_interval'] = -(-settings['metric_interval'] // settings['log_interval']) * settings['log_interval']
    settings.setdefault('abc', list(LeastSquares.SCHEMES[settings['scheme']]))
    _, weight = PENALTIES.get(settings['gradient_penalty'], (None, None))
    settings.setdefault('penalty_weight', weight)
    settings['scheme'] = next((name for name, abc in LeastSquares.SCHEMES.items() if list(abc) == settings['abc']), 'custom')
    if saved is not None:
        _require_same_run(settings, given, saved)
        return {**saved, **{name: value for name, value in given.items() if name in snapshot.free(saved)}}
    for name, (reader, reads) in _READERS.items():
        if name in given and not reads(settings):
            raise InputError(f'{_flag(name)} has no effect without {reader}; leave it out')
    if settings['metric_interval'] % settings['log_interval']:
        raise InputError(f'--metric-interval {settings["metric_interval"]} must be a multiple of --log-interval '
                         f'{settings["log_interval"]}, because metrics are written with log entries')
    if settings['lr_steps'] and settings['lr_decay']:
        raise InputError('--lr-steps and --lr-decay both set the learning rates: leave one of them out')
    if settings.get('sync_norm') and settings['gradient_penalty'] != 'none':
        raise InputError('--sync-norm and --gradient-penalty cannot be combined, because batch normalisation over processes '
                         'has no second derivative: leave one of them out')
    if 'abc' in given and 'scheme' in given:
        raise InputError('--abc and --scheme both set the targets: leave one of them out')
    return settings


def _require_same_run(settings, given, saved):
    if saved['experiment'] != settings['experiment']:
        raise InputError(f'cannot resume: this is a run of train_{saved["experiment"]}.py; resume it with that script')
    missing = settings.keys() - saved.keys()
    if missing:
        raise InputError('cannot resume: made by another version of lsgan '
                         f'({", ".join(map(_flag, sorted(missing)))} missing); use the git commit that its config.json names, '
                         'or start a new run with --out')
    clash = [f'{_flag(name)} is {_show(saved[name])} in that run and {_show(given[name])} in this command'
             for name in snapshot.contradictions(given, saved)]
    if clash:
        raise InputError(f'cannot resume: {", ".join(clash)}. Leave these flags out, or start a new run with --out '
                         '(and with --init-from, to begin with the weights of that run)')


def _flag(name):
    """Return the flag of a setting."""
    return '--' + name.replace('_', '-')


def _show(value):
    """Return the value of a setting as a user would write it."""
    if value in (None, []):
        return 'none'
    if isinstance(value, bool):
        return 'on' if value else 'off'
    return ' '.join(map(str, map(_show, value))) if isinstance(value, list) else value


def device(text: str) -> str:
    """Return Chainer's full name of a device: @numpy for -1 and @cupy:0 for 0. `auto` and full names stay as they are."""
    try:
        number = int(text)
    except ValueError:
        if text != 'auto' and not text.startswith('@'):
            raise argparse.ArgumentTypeError(f'{text!r} is not a device; pass auto, -1 or @numpy, 0 or @cupy:0') from None
        return text
    return '@numpy' if number < 0 else f'@cupy:{number}'


def path(text: str) -> str:
    """Return an absolute path, so that it means the same when the run is resumed from another folder."""
    if not text:
        raise argparse.ArgumentTypeError('the path is empty')
    return os.path.realpath(os.path.expanduser(text))


def _kind(convert, accept, wanted):
    """Return an argparse type that converts a text, accepts some values, and says what is `wanted` for the others."""
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
positive = _kind(int, lambda v: v > 0, 'a whole number of at least 1')
epoch = _kind(lambda v: v if v == 'end' else int(v), lambda v: v == 'end' or v > 0,
              'a whole number of at least 1, or end')
numbers = _kind(lambda v: [*map(int, v.split(','))], bool, 'a list of whole numbers with commas, such as 3,17,8')
port = _kind(int, lambda v: 0 <= v < 2 ** 16, 'a port from 0 to 65535')
at_least_two = _kind(int, lambda v: v > 1, 'a whole number of at least 2')
number = _kind(float, lambda v: abs(v) < float('inf'), 'a finite number')
not_negative = _kind(float, lambda v: 0 <= v < float('inf'), 'a number of at least 0')
above_zero = _kind(float, lambda v: 0 < v < float('inf'), 'a number above 0')
length = _kind(float, lambda v: 1e-6 <= v <= 1e6, 'a number from 1e-6 to 1e6')
share = _kind(float, lambda v: 0 < v <= 1, 'a number above 0 and at most 1')
decay = _kind(float, lambda v: 0 <= v < 1, 'a number of at least 0 and below 1')
fraction = _kind(float, lambda v: 0 <= v <= 1, 'a number from 0 to 1')
