"""From a script's flags to a finished run folder."""
import errno
import functools
import os
import pathlib
import shlex
import signal
import sys

import chainer
import numpy
import threadpoolctl
from chainer.training import extensions as chainer_extensions

from lsgan import losses
from lsgan.datasets.iterator import SampleIterator
from lsgan.errors import InputError
from lsgan.functions.memory import keep_freed_memory
from lsgan.random import Latent, Stream
from lsgan.training import extensions, flags, report, snapshot
from lsgan.training.devices import select_device
from lsgan.training.experiment import tell
from lsgan.training.surroundings import surroundings
from lsgan.training.updater import Average, ClipWeights, GANUpdater, GradientNorm, InstanceNoise

_STATISTICS = 2048      # latents that averaged weights get their statistics of batch normalisation from


def main(parser, build):
    """Runs a training script with the flags of the command line.

    Args:
        parser (lsgan.training.flags.Parser): with all flags.
        build (callable): from the settings to a `lsgan.training.experiment.Experiment`; initial weights draw from NumPy's
            global stream.

    Returns:
        int: exit status: 0 done, 1 diverged, 2 wrong input or unusable disk, 130 and 143 after SIGINT and SIGTERM.
    """
    def act():
        try:
            return _train(parser, build, vars(parser.parse_args()))
        except BrokenPipeError:
            raise
        except OSError as error:
            full = error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
            todo = ('nothing written before is lost: make room and add --resume' if full
                    else 'choose another place with --out')
            raise InputError(f'{error.filename}: {error.strerror}; {todo}' if error.filename else error) from None
    return guarded(parser.prog, act)


def guarded(prog, action):
    """Runs an action; what a user or the system can cause becomes one line on stderr and an exit status.

    Args:
        prog (str): the script's name.
        action (callable): takes nothing, returns an exit status.
    """
    for stream in sys.stdout, sys.stderr:
        stream.reconfigure(errors='backslashreplace')       # names of files can be no text
    try:
        return action()
    except InputError as error:
        message, status = error, 2
    except extensions.Diverged as error:
        message, status = error, 1
    except KeyboardInterrupt:       # while training, a run stops in order instead
        message, status = 'interrupted', 130
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())     # or Python complains again when it ends
        message, status = 'nobody reads what is printed here: stopped', 1
    except MemoryError:
        message = 'that does not fit into memory: ask for smaller networks or batches, or fewer samples (-n, --metric-samples)'
        status = 2
    except OSError as error:
        message, status = f'{error.filename}: {error.strerror}' if error.filename else error, 2
    print(f'{prog}: {message}'.replace('\n', ' '), file=sys.stderr)      # a path may have a line break
    return status


def _train(parser, build, given):
    iterations = given.pop('iterations', None)
    state, settings, out = _start(parser, given)
    total = settings['epoch'] * settings['epoch_size']
    device, why = select_device(settings['device'])
    settings['device'] = device.name
    keep_freed_memory()
    numpy.random.seed(settings['seed'])     # Chainer's initializers and dropout draw from it; nothing that only watches does
    made = build(settings)
    if why:
        print(f'device {device.name}: {why}')
    if settings['init_from'] and state is None:
        try:
            snapshot.load_networks(settings['init_from'], {'generator': made.generator, 'discriminator': made.discriminator})
        except InputError as error:
            raise InputError(f'--init-from {error}') from None
    data = made.fingerprint()
    _require_same_data(out, data)
    notes, remark = made.prepare(), made.remark()
    if remark:
        print(remark)
    with extensions.StopRequest(min(iterations or total, total)) as stop:
        trainer = _assemble(made, settings, out, device, total, stop)
        if state:
            state.restore(trainer)
        updater = trainer.updater
        start = updater.iteration
        _open(out, settings, notes, data)
        _describe(settings, out, device, start, max(start, stop.iterations))
        try:
            # what is not finite is reported by the next log entry, not by NumPy
            with threadpoolctl.threadpool_limits(made.blas_threads, 'blas'), numpy.errstate(all='ignore'):
                metrics = _run(trainer, start)
        except extensions.Diverged as error:
            raise extensions.Diverged(
                f'{error}, with --loss {settings["loss"]} --optimizer {settings["optimizer"]} --lr-g {settings["lr_g"]} '
                f'--lr-d {settings["lr_d"]}: start a new run with smaller learning rates; '
                f'the snapshots in {out} are from before') from None
    uv = 'uv run ' if 'UV' in os.environ else ''        # which uv run sets
    go_on = f'to go on: {uv}{parser.prog} --resume -o {shlex.quote(str(out))}'
    if metrics is None:
        print(f'\nstopped by {signal.Signals(stop.signal).name} after {updater.iteration:,} updates; {go_on}', flush=True)
        return 128 + stop.signal
    print(f'\nafter {updater.iteration:,} updates:')
    for line in tell(metrics):
        print(line)
    final = made.sample(updater.sampler(), settings['seed'], device, made.samples), updater.iteration
    for line in report.draw_each(out / 'figures', report.main_pictures(out, settings, made.figures, lambda: final)):
        print(line)
    print(f'more pictures: {uv}visualize.py all {shlex.quote(str(out))}')
    if updater.iteration < total:
        print(f'stopped early; {go_on}')
    return 0


def _run(trainer, start):
    """Trains to the stop; the final metrics, or None where a signal came before them."""
    updater, stop = trainer.updater, trainer.stop_trigger
    settings = trainer.get_extension('snapshots').settings
    if start < stop.iterations:
        trainer.run(show_loop_exception_msg=False)
    # after an early stop, too: a run that goes on from here is the run that never stopped, with a picture more
    for name, interval in ('snapshots', 'snapshot_interval'), ('pictures', 'sample_interval'):
        if updater.iteration > start and updater.iteration % settings[interval]:
            trainer.get_extension(name)(trainer)
    if stop.signal:
        return None
    path = pathlib.Path(trainer.out, 'metrics.json')
    if not path.exists() or snapshot.read_json(path).get('iteration') != updater.iteration:
        trainer.get_extension('metrics').measure(trainer)
    return None if stop.signal else snapshot.read_json(path)


def _start(parser, given):
    """Where the run begins: (Snapshot or None, settings, path of the run folder)."""
    resume, out = given.pop('resume', None), given.pop('out', None)
    default = pathlib.Path(out or f'result/{parser.experiment}')
    source = None if resume is None else pathlib.Path(resume) if resume else default
    state = saved = None
    if source is None:
        folder = None
    elif resume and not source.exists():
        raise InputError(f'--resume {source}: no such snapshot or run folder')
    elif resume and not source.is_dir():
        folder = source.parent
        state = snapshot.Snapshot(source)
        saved = state.settings
    elif resume or (source / 'config.json').exists():
        folder = source
        saved = snapshot.read_settings(source)
        state = snapshot.newest(source, saved, lambda message: print(f'{parser.prog}: {message}', file=sys.stderr))
        if state is None:
            print(f'{source} holds no good snapshot: the run starts again')
    else:       # all that a run killed in its first moments leaves
        folder = None
    settings = flags.resolve(parser.experiment, given, parser.presets, saved)
    out = pathlib.Path(out) if out else folder or default
    if (folder is None or out.resolve() != folder.resolve()) and out.exists() and (
            not out.is_dir() or any(path.suffix != '.writing' and path.name != 'samples' for path in out.iterdir())):
        what = 'go on with that run by --resume, or ' if (out / 'config.json').exists() else ''
        raise InputError(f'{out} exists already; {what}choose another folder with --out')
    if source is not None and folder is None:
        print(f'{source} holds no run yet: a new one starts')
    return state, settings, out


def _require_same_data(out, data):
    """Raises `InputError` where the run in a folder, if there is one, began with other data."""
    path = out / 'config.json'
    if path.exists() and snapshot.read_json(path).get('data', data) != data:
        raise InputError(f'cannot resume: the data are not those that {out} began with; '
                         'put them back, or start a new run with --out')


def _open(out, settings, notes, data):
    """Makes the run folder, its config.json and the notes, and removes what a killed run left half written."""
    path, threads = out / 'config.json', chainer.config.cpu_threads
    config = (snapshot.read_json(path) if path.exists()
              else {'command': [pathlib.Path(sys.argv[0]).name, *sys.argv[1:]], **surroundings(), 'data': data})
    (out / 'samples').mkdir(parents=True, exist_ok=True)
    snapshot.clear_leftovers(out)
    if config.get('threads', threads) != threads:
        print(f'note: begun with {config["threads"]} threads, going on with {threads}: the last bits will differ')
    snapshot.write_json(path, {**config, 'settings': settings})
    for name, text in notes.items():
        with snapshot.replacing(out / name) as f:
            f.write(text.encode(errors='backslashreplace'))     # names of files can be no text


def make_loss(settings):
    """The loss that the settings name."""
    if settings['loss'] == 'lsgan':
        return losses.LeastSquares(*settings['abc'])
    return losses.LOSSES[settings['loss']]()


def _assemble(made, settings, out, device, total, stop):
    """The trainer: updater, schedules, and what watches."""
    seed = settings['seed']
    optimizers = {}
    for name, link in (('generator', made.generator), ('discriminator', made.discriminator)):
        link.to_device(device)
        rate = settings['lr_' + name[0]]
        make, _ = flags.OPTIMIZERS[settings['optimizer']]
        optimizers[name] = make(rate, settings['beta1'], settings['beta2']).setup(link)
        if settings['gradient_norms']:
            optimizers[name].add_hook(GradientNorm(name[:3]))
        if settings['clip_gradient']:
            optimizers[name].add_hook(chainer.optimizer_hooks.GradientClipping(settings['clip_gradient']))
    if settings['loss'] == 'wgan':
        optimizers['discriminator'].add_hook(ClipWeights(settings['clip']))
    updater = GANUpdater(
        SampleIterator(made.data, settings['batchsize'], Stream(seed, 'data', device),
                       settings['epoch_size'] * settings['n_critic']),
        optimizers, make_loss(settings),
        Latent(made.latent_size, made.latent_distribution, Stream(seed, 'latent', device)),
        settings['n_critic'],
        InstanceNoise(settings['noise'], 0.0, Stream(seed, 'noise', device)) if settings['noise'] else None,
        Average(made.generator, settings['average'], made.latents(seed, device, _STATISTICS, 'statistics'))
        if settings['average'] else None,
        settings['split_discriminator_update'])

    trainer = chainer.training.Trainer(updater, out=str(out))
    trainer.stop_trigger = stop
    _add_schedules(trainer, settings, total)
    every = {name: (settings[name + '_interval'], 'iteration') for name in ('log', 'metric', 'sample', 'snapshot')}
    log = chainer_extensions.LogReport(trigger=every['log'], postprocess=extensions.require_finite)

    def samples(n):
        return lambda: made.sample(updater.sampler(), seed, device, n)

    trainer.extend(extensions.Metrics(samples(made.samples), made.evaluate, settings['batchsize'] * settings['n_critic']),
                   trigger=every['metric'])
    trainer.extend(log)
    trainer.extend(extensions.Progress(log, stop.iterations, made.show))
    trainer.extend(extensions.Pictures(samples(made.shown), made.draw, functools.partial(report.title, settings)),
                   trigger=every['sample'], call_before_training=True)
    trainer.extend(extensions.Snapshots(settings, settings['keep']), trigger=every['snapshot'])
    return trainer


def _add_schedules(trainer, settings, total):
    updater = trainer.updater
    _, attribute = flags.OPTIMIZERS[settings['optimizer']]
    for name, optimizer in updater.get_all_optimizers().items():
        if settings['lr_steps']:
            trainer.extend(extensions.RateSteps(attribute, settings['lr_steps'], settings['epoch_size'], optimizer),
                           name='lr_' + name)
        if settings['lr_decay']:
            span = round((1 - settings['lr_decay']) * total), total
            trainer.extend(chainer_extensions.LinearShift(attribute, (getattr(optimizer, attribute), 0.0), span, optimizer),
                           name='lr_' + name)
    if settings['noise'] > settings['noise_end']:       # noise that is not above its end stays as it is
        updater.noise.end = settings['noise_end']
        fall = (settings['noise_end'] / settings['noise']) ** (1 / (settings['noise_share'] * total))
        trainer.extend(chainer_extensions.ExponentialShift('sigma', fall, settings['noise'], settings['noise_end'],
                                                           updater.noise), name='noise', trigger=(1, 'iteration'))


def _describe(settings, out, device, done, total):
    loss = settings['loss']
    if loss == 'lsgan':
        targets = losses.LeastSquares(*settings['abc'])
        loss += f' a={targets.a:g} b={targets.b:g} c={targets.c:g}'
        if targets.a == targets.b:
            print('warning: a == b asks D to give real and generated data the same value, so it learns nothing')
    print(f'{settings["experiment"]}: {loss}, preset {settings["preset"]}, seed {settings["seed"]}, {device}')
    if settings['loss'] == 'lsgan':
        print('G minimises a Pearson chi-square divergence, for b - c = 1 and b - a = 2' if targets.is_pearson else
              'G minimises no Pearson chi-square divergence, which would take b - c = 1 and b - a = 2 (--scheme pearson)')
    updates = f'updates {done:,} to {total:,}' if done < total else f'{done:,} updates are done already'
    print(f'{updates}; run folder {out}', flush=True)
