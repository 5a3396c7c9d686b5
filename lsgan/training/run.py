"""From a script's flags to a finished run folder."""
import contextlib
import errno
import functools
import os
import pathlib
import signal
import sys
import time
import traceback
from collections.abc import Callable

import chainer
import numpy
import threadpoolctl
from chainer.backends import cuda

from lsgan import console, losses
from lsgan.datasets.iterator import SampleIterator
from lsgan.errors import InputError, SharedError
from lsgan.functions.cpu.memory import keep_freed_memory
from lsgan.functions.optimizers import ClipWeights, GradientNorm, MeanGradient
from lsgan.links import BatchNormalization
from lsgan.penalties import PENALTIES, GradientPenalty
from lsgan.random import Latent, Stream, seed_global
from lsgan.training import (
    extensions,
    flags,
    lock,
    parallel,
    report,
    resume,
    schedules,
    snapshot,
    supervisor,
)
from lsgan.training.devices import select_device
from lsgan.training.events import Events, require_writer
from lsgan.training.experiment import Experiment, tell
from lsgan.training.surroundings import surroundings
from lsgan.training.updater import Average, GANUpdater, InstanceNoise

_DELAY = 3          # seconds in which the process of rank 0 tells what all have met
_STATISTICS = 2048      # latents for the batch-normalisation statistics of the averaged generator


def main(parser: flags.Parser, build: Callable[[dict], Experiment]) -> int:
    """Run a training script with the flags of the command line.

    Args:
        parser: the script's parser.
        build: takes the settings and returns the experiment. It draws the initial weights from NumPy's global random stream.

    Returns:
        The exit status: 0 done, 1 diverged, 2 bad input or an unusable disk, 130 after SIGINT, 143 after SIGTERM.
    """
    def train(processes, given):
        try:
            with _restored():
                return _train(parser, build, processes, given)
        except BrokenPipeError:
            raise
        except OSError as error:
            full = error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
            todo = ('everything written before is safe: free some space, then go on with --resume' if full
                    else 'choose another folder with --out')
            raise InputError(f'{error.filename}: {error.strerror}; {todo}' if error.filename else error) from None
    return guarded(parser.prog, lambda: _on_every_process(parser.prog, lambda: vars(parser.parse_args()), train))


def _on_every_process(prog, parse, train):
    """Return the exit status of `train`, called with `parallel.Alone` or `Parallel` and the result of `parse`."""
    rank, size = parallel.launched()
    if size == 1:
        return train(parallel.Alone(), parse())
    supervisor.supervise(lambda number: f'{prog}: rank {rank} was ended by signal {number} ({signal.strsignal(number)}), so '
                                        'all processes end; go on from the last snapshot with --resume')
    if rank:
        sys.stdout = sys.stderr = open(os.devnull, 'w')
    processes = None
    try:
        given = parse()     # before MPI, which could end only with all ranks
        processes = parallel.Parallel()
        status = train(processes, given)
    except SystemExit:      # --help
        raise
    except BaseException as error:
        if not isinstance(error, SharedError) and (processes or not isinstance(error, InputError)):
            _fail_alone(prog, rank, error)
        if rank == 0:
            raise
        if processes is None:       # otherwise the launcher might end rank 0 before it has printed the error
            time.sleep(_DELAY)
        return 2
    if supervisor.is_orphan():
        os._exit(status)
    processes.gather(None)      # sleeps until rank 0 is done; MPI would wait without a pause
    return status


def _fail_alone(prog, rank, error):
    """End this process without waiting for the others, which the launcher ends."""
    if rank:
        sys.stderr = sys.__stderr__
        time.sleep(_DELAY)      # if all ranks have failed, rank 0 prints the error and the launcher ends the others

    def fail():
        raise error

    status = 1
    try:
        status = guarded(f'{prog}: rank {rank}', fail)
    except BaseException:
        print(f'{prog}: rank {rank}:', file=sys.stderr)
        traceback.print_exc()
    sys.stderr.flush()
    os._exit(status)


def guarded(prog: str, action: Callable[[], int]) -> int:
    """Run `action`; turn expected errors (bad input, full disk, Ctrl-C) into a one-line message on stderr and an exit status.

    Args:
        prog: the script's name.
        action: takes nothing, returns an exit status.
    """
    for stream in sys.stdout, sys.stderr:
        if hasattr(stream, 'reconfigure'):      # a notebook's streams take any text
            stream.reconfigure(errors='backslashreplace')       # file names may not be valid text
    try:
        return action()
    except InputError as error:
        message, status = str(error), 2
    except extensions.Diverged as error:
        message, status = str(error), 1
    except KeyboardInterrupt:       # during training, `StopRequest` handles the signal
        message, status = 'interrupted', 130
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())     # or Python complains again when it ends
        message, status = 'stopped, because the program that reads the output has ended', 1
    except MemoryError:
        message = 'not enough memory: choose smaller networks or batches, or fewer samples (-n, --metric-samples)'
        status = 2
    except OSError as error:
        message, status = f'{error.filename}: {error.strerror}' if error.filename else str(error), 2
    print(console.one_line(f'{prog}: {message}'), file=sys.stderr)       # a path may have a line break
    return status


@contextlib.contextmanager
def _restored():
    """Restore NumPy's random state and CuPy's current device at the end, because a notebook goes on after the script."""
    with contextlib.ExitStack() as stack:
        stack.callback(numpy.random.set_state, numpy.random.get_state())
        if cuda.available:
            with contextlib.suppress(cuda.cupy.cuda.runtime.CUDARuntimeError):      # CuPy without a working GPU
                stack.enter_context(cuda.Device())
        yield


def _train(parser, build, processes, given):
    about = surroundings()
    processes.require_equal({**about['versions'], 'the git commit': about['git_commit'],
                             **{f'--{name.replace("_", "-")}': value for name, value in given.items()}},
                            'start the same command with the same versions on all machines')
    with contextlib.ExitStack() as stack:
        def begin():
            out, *start = resume.places(parser, given)
            stack.enter_context(lock.held(out / lock.NAME, out, 'wait until it ends, or choose another folder with --out'))
            return out, resume.start(out, *start, parser, given, processes.size)

        out, start = processes.share(processes.call(lambda: None if processes.rank else begin()))
        _, settings, _ = start
        stack.enter_context(chainer.using_config('tf32', settings['tf32']))
        stack.enter_context(chainer.using_config('cudnn_deterministic', settings['deterministic']))
        return _train_in(out, start, parser, build, processes)


def _train_in(out, start, parser, build, processes):
    state, settings, iterations = start
    total = settings['epoch'] * settings['epoch_size']
    device, why = processes.call(lambda: select_device(settings['device'], processes.local_rank))
    settings['device'] = processes.share(device.name)
    processes.connect(settings, device)
    keep_freed_memory()

    def prepare():
        if settings['tensorboard']:
            require_writer()
        numpy.random.seed(settings['seed'])     # initializers and dropout draw from it; nothing that only watches does
        made = build(settings)
        if why:
            print(f'Training on the CPU, because {why}' if device.xp is numpy else f'Training on {device.name}, {why}')
        if settings['init_from'] and state is None and processes.rank == 0:
            try:
                snapshot.load_networks(settings['init_from'],
                                       {'generator': made.generator, 'discriminator': made.discriminator})
            except InputError as error:
                raise InputError(f'--init-from {error}') from None
        data = made.fingerprint()
        resume.require_same_data(out, data)
        notes, remark = made.prepare(), made.remark() if processes.rank == 0 else ''
        if remark:
            print(remark)
        return made, data, notes

    made, data, notes = processes.call(prepare)
    processes.require_equal({'the data': data}, 'give all machines the same files')
    if state:
        processes.call(lambda: resume.note_changes(settings, state.settings, state.iteration))
    with extensions.StopRequest(min(iterations or total, total), processes) as stop:
        trainer = _assemble(made, settings, out, device, total, stop, processes)
        updater = trainer.updater
        if state:
            processes.call(lambda: state.restore(trainer, processes.rank, processes.size))
        start = updater.iteration
        if processes.rank == 0:
            _open(out, settings, notes, data)
            _describe(settings, out, device, start, max(start, stop.iterations), processes)
        try:
            # The next log entry reports losses that are not finite, so NumPy need not.
            with (threadpoolctl.threadpool_limits(made.blas_threads or processes.threads, 'blas'),
                  numpy.errstate(all='ignore')):
                metrics = _run(trainer, start, processes)
        except extensions.Diverged as error:
            raise extensions.Diverged(
                f'{error}, with --loss {settings["loss"]} --optimizer {settings["optimizer"]} --lr-g {settings["lr_g"]} '
                f'--lr-d {settings["lr_d"]}: start a new run with smaller learning rates. '
                f'The snapshots in {out} are from before the divergence') from None
    if processes.rank:
        return 128 + stop.signal if stop.signal else 0
    runner = '%run ' if console.in_ipython() else 'uv run ' if 'UV' in os.environ else ''       # uv run sets UV
    launch = f'mpiexec -n {processes.size} ' if processes.size > 1 else ''
    runner += launch
    go_on = f'to go on: {runner}{parser.prog} --resume -o {console.shell_path(out)}'
    if metrics is None:
        print(f'\nstopped by {signal.Signals(stop.signal).name} after {updater.iteration:,} updates; {go_on}', flush=True)
        return 128 + stop.signal
    print(f'\nafter {updater.iteration:,} updates:')
    for line in tell(metrics):
        print(line)
    final = made.sample(updater.sampler(), settings['seed'], device, made.samples), updater.iteration
    for line in report.draw_each(out / 'figures', report.main_pictures(out, settings, made.figures, lambda: final)):
        print(console.one_line(line))
    print(f'more pictures: {runner.removesuffix(launch)}visualize.py all {console.shell_path(out)}')
    if updater.iteration < total:
        print(f'stopped early; {go_on}')
    return 0


def _run(trainer, start, processes):
    """Train to the stop; return the final metrics, or None on ranks above 0 and where a signal came before them."""
    updater, stop = trainer.updater, trainer.stop_trigger
    settings = trainer.get_extension('snapshots').settings
    if start < stop.iterations:
        trainer.run(show_loop_exception_msg=False)
    if updater.iteration > start:
        trainer.get_extension('LogReport').write_partial_entry(trainer)

    def run_once_more(name, interval):
        if updater.iteration > start and updater.iteration % settings[interval]:
            trainer.get_extension(name)(trainer)

    # Also after an early stop, so that a run that goes on from here equals one that never stopped, plus one picture.
    run_once_more('snapshots', 'snapshot_interval')
    if processes.rank:
        return None
    run_once_more('pictures', 'sample_interval')
    if stop.signal:
        return None
    path = pathlib.Path(trainer.out, 'metrics.json')
    if not path.exists() or snapshot.read_json(path).get('iteration') != updater.iteration:
        trainer.get_extension('metrics').measure(trainer)
    return None if stop.signal else snapshot.read_json(path)


def _open(out, settings, notes, data):
    """Create the run folder, its config.json and the notes. Remove what a killed run has left half written."""
    path, about = out / 'config.json', surroundings()
    config = (snapshot.read_json(path) if path.exists()
              else {'command': [pathlib.Path(sys.argv[0]).name, *sys.argv[1:]], **about, 'data': data})
    (out / 'samples').mkdir(parents=True, exist_ok=True)
    snapshot.clear_leftovers(out)
    _note_changes(config, about)
    snapshot.write_json(path, {**config, 'settings': settings})
    for name, text in notes.items():
        with snapshot.replacing(out / name) as f:
            f.write(text.encode(errors='backslashreplace'))     # file names may not be valid text


def _note_changes(before, now):
    """Print a note if a run began with other library versions or another number of threads than it goes on with."""
    old, new = ({**about.get('versions', {}), 'threads': about.get('threads', now['threads'])} for about in (before, now))
    changed = [name for name in new if old.get(name, new[name]) != new[name]]
    if changed:
        began, goes_on = (', '.join(f'{name} {values[name]}' for name in changed) for values in (old, new))
        print(f'note: this run began with {began} and goes on with {goes_on}: results can differ in rounding')


def make_loss(settings: dict) -> losses.Loss:
    """Return the loss function that the settings name; see `lsgan.losses`."""
    if settings['loss'] == 'lsgan':
        return losses.LeastSquares(*settings['abc'])
    return losses.LOSSES[settings['loss']]()


def _assemble(made, settings, out, device, total, stop, processes):
    """Return the trainer of this process, with its updater, schedules and extensions."""
    seed, branch = settings['seed'], _branch(settings, processes)
    if branch:
        seed_global(seed, branch)

    def stream(name):
        return Stream(seed, name, device, branch)

    optimizers = {}
    for name, link in (('generator', made.generator), ('discriminator', made.discriminator)):
        link.to_device(device)
        rate = settings['lr_' + name[0]]
        make, _ = flags.OPTIMIZERS[settings['optimizer']]
        optimizers[name] = make(rate, settings['beta1'], settings['beta2']).setup(link)
        if processes.communicator:
            processes.broadcast(link)
            optimizers[name].add_hook(MeanGradient(processes.averager))
        if settings['gradient_norms']:
            optimizers[name].add_hook(GradientNorm(name[:3]))
        if settings['clip_gradient']:
            optimizers[name].add_hook(chainer.optimizer_hooks.GradientClipping(settings['clip_gradient']))
    if settings['loss'] == 'wgan' and settings['gradient_penalty'] == 'none':
        optimizers['discriminator'].add_hook(ClipWeights(settings['clip']))
    updater = GANUpdater(
        SampleIterator(made.data, settings['batchsize'] // processes.size, stream('data'),
                       settings['epoch_size'] * settings['n_critic']),
        optimizers, make_loss(settings),
        Latent(made.latent_size, made.latent_distribution, stream('latent')),
        settings['n_critic'],
        InstanceNoise(settings['noise'], 0.0, stream('noise')) if settings['noise'] else None,
        Average(made.generator, settings['average'], made.latents(seed, device, _STATISTICS, 'statistics'))
        if settings['average'] else None,
        settings['split_discriminator_update'], settings['graph'],
        GradientPenalty(PENALTIES[settings['gradient_penalty']][0], settings['penalty_weight'], stream('penalty'))
        if settings['gradient_penalty'] != 'none' else None)

    if settings['sync_norm']:       # not in the averaged copy, whose statistics rank 0 computes by itself
        for link in [*made.generator.links(), *made.discriminator.links()]:
            if isinstance(link, BatchNormalization):
                link.communicator = processes.communicator

    trainer = chainer.training.Trainer(updater, out=str(out))
    trainer.stop_trigger = stop
    _add_schedules(trainer, settings, total)
    every = {name: (settings[name + '_interval'], 'iteration') for name in ('log', 'metric', 'sample', 'snapshot')}
    tensorboard = Events(out / 'tensorboard') if settings['tensorboard'] and processes.rank == 0 else None

    def check(entry):
        extensions.require_finite(entry)
        if tensorboard:
            tensorboard.add_entry(entry)

    log = extensions.Log(processes, trigger=every['log'], postprocess=check)
    trainer.extend(log)
    trainer.extend(extensions.Snapshots(settings, settings['keep'], processes), trigger=every['snapshot'])
    if processes.rank:
        return trainer

    def samples(n):
        return lambda: made.sample(updater.sampler(), seed, device, n)

    trainer.extend(extensions.Metrics(samples(made.samples), made.evaluate, settings['batchsize'] * settings['n_critic']),
                   trigger=every['metric'])
    trainer.extend(extensions.Progress(log, stop.iterations, made.show))
    trainer.extend(extensions.Pictures(samples(made.shown), made.draw, functools.partial(report.title, settings),
                                       tensorboard and tensorboard.add_picture),
                   trigger=every['sample'], call_before_training=True)
    return trainer


def _branch(settings, processes):
    """Return what sets this process's random streams apart; see `lsgan.random.Stream`."""
    changes = [change['updates'] for change in settings.get('resharded', [])[-1:]]
    return [processes.rank, *changes] if processes.rank or changes else []


def _add_schedules(trainer, settings, total):
    updater = trainer.updater
    _, attribute = flags.OPTIMIZERS[settings['optimizer']]
    for name, optimizer in updater.get_all_optimizers().items():
        if settings['lr_steps']:
            steps = [(epoch * settings['epoch_size'], factor) for epoch, factor in settings['lr_steps']]
            schedule = schedules.steps(getattr(optimizer, attribute), steps)
        elif settings['lr_decay']:
            schedule = schedules.linear(getattr(optimizer, attribute), round((1 - settings['lr_decay']) * total), total)
        else:
            continue
        trainer.extend(schedules.Schedule(optimizer, attribute, schedule), name='lr_' + name)
    if settings['noise'] > settings['noise_end']:       # otherwise the noise stays constant
        updater.noise.end = settings['noise_end']
        schedule = schedules.geometric(settings['noise'], settings['noise_end'], settings['noise_share'] * total)
        trainer.extend(schedules.Schedule(updater.noise, 'sigma', schedule), name='noise')


def _describe(settings, out, device, done, total, processes):
    loss = settings['loss']
    if loss == 'lsgan':
        targets = losses.LeastSquares(*settings['abc'])
        loss += f' a={targets.a:g} b={targets.b:g} c={targets.c:g}'
        if targets.a == targets.b:
            print('warning: with a == b, D should give real and generated data the same value, so it learns nothing')
    if settings['gradient_penalty'] != 'none':
        loss += f' with gradient penalty {settings["gradient_penalty"]} of weight {settings["penalty_weight"]:g}'
    where = f'{device}'
    if processes.size > 1:
        where = (f'{processes.size} processes with {settings["batchsize"] // processes.size} examples of each batch, '
                 f'gradients averaged by {processes.name}, rank 0 on {device}')
    print(f'{settings["experiment"]}: {loss}, preset {settings["preset"]}, seed {settings["seed"]}, {where}')
    if settings['loss'] == 'lsgan':
        print('G minimises a Pearson chi-square divergence, for b - c = 1 and b - a = 2' if targets.is_pearson else
              'G minimises no Pearson chi-square divergence, which would take b - c = 1 and b - a = 2 (--scheme pearson)')
    updates = f'updates {done:,} to {total:,}' if done < total else f'{done:,} updates are done already'
    print(f'{updates}; run folder {out}', flush=True)
