"""Time training on 1, 2 and 4 processes of the CPU, and the exchange of gradients between them.

    python benchmarks/scaling.py                    all networks; needs mpi4py and mpiexec: pip install 'lsgan[mpi]'
    python benchmarks/scaling.py gaussian --rounds 9
    python benchmarks/scaling.py --processes 2 4 8 16

Each process has one thread. Networks, batch sizes and optimizers are those of the training scripts' default presets, and the
data are random numbers. An update takes a step of D and a step of G, each with gradients averaged over all processes.

Strong scaling divides the batch of the preset among the processes: what is trained stays comparable, and each process has less
to compute between two exchanges. Weak scaling gives the whole batch of the preset to each process: the batch of all processes
together grows with their number. The last row, 1 process with 2 threads, is the alternative on a machine with two cores.

"communication" is the fraction of an update's time that is spent in exchanging gradients and in agreeing whether to stop, the
mean over the processes. It includes waiting for the slowest process, so it grows if processes have to share cores.

Every round starts each row's processes anew, in turn, so that a disturbance of the machine reaches all rows. Compilation and
warm-up come before the measurement. Processes are not bound to cores. A row that fails says why, and the others go on.
"""
import argparse
import importlib
import importlib.util
import json
import os
import pathlib
import platform
import shutil
import statistics
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))

import numpy as np
import threadpoolctl
from speed import WARM_UP, Repeat, positive

NETWORKS = {'gaussian': 'gaussian', 'mnist': 'mnist', 'faces': 'anime'}     # name in the table: experiment
# Open MPI starts also as root and more processes than there are cores, and the system decides which core runs them
OPEN_MPI = {'OMPI_ALLOW_RUN_AS_ROOT': '1', 'OMPI_ALLOW_RUN_AS_ROOT_CONFIRM': '1',
            'PRTE_MCA_rmaps_default_mapping_policy': ':oversubscribe', 'PRTE_MCA_hwloc_default_binding_policy': 'none'}


def build(experiment, preset='default'):
    """Return the settings and the `lsgan.training.experiment.Experiment` of a training script's preset; read no data."""
    from lsgan.training import flags
    script = importlib.import_module(f'train_{experiment}')
    images = {'images': ['']} if experiment == 'anime' else {}      # otherwise the settings for drawn faces
    settings = flags.resolve(experiment, {'preset': preset, **images}, script.PRESETS)
    settings.update(image_size=[28, 28], image_channels=3)      # or the scripts would read the images to find out
    return settings, script.build(settings)


class Clock:
    """The time spent in some functions, in seconds."""

    seconds = 0.0

    def timed(self, function):
        """Return the function with its calls timed."""
        def call(*args):
            start = time.perf_counter()
            result = function(*args)
            self.seconds += time.perf_counter() - start
            return result
        return call


def work(name, batch, seconds):
    """Be one of the processes. Rank 0 prints images/s of all processes and their mean fraction of time in communication."""
    from lsgan.functions.cpu.memory import keep_freed_memory
    from lsgan.functions.optimizers import MeanGradient
    from lsgan.random import Latent, Stream
    from lsgan.training import flags, parallel, run
    from lsgan.training.updater import Average, GANUpdater, InstanceNoise
    import chainer  # isort: skip (lsgan makes it importable)
    processes = parallel.Parallel() if parallel.launched()[1] > 1 else parallel.Alone()
    clock, device = Clock(), chainer.get_device('@numpy')
    np.random.seed(0)       # gives all processes the same weights
    settings, made = build(NETWORKS[name])
    processes.connect(settings, device)
    keep_freed_memory()
    optimizers = {}
    for key, link in ('generator', made.generator), ('discriminator', made.discriminator):
        make, _ = flags.OPTIMIZERS[settings['optimizer']]
        optimizers[key] = make(settings[f'lr_{key[0]}'], settings['beta1'], settings['beta2']).setup(link)
        if processes.size > 1:
            optimizers[key].add_hook(MeanGradient(lambda array: clock.timed(processes.averager(array))))
    latents, noise = (Stream(0, purpose, device, [processes.rank]) for purpose in ('latent', 'noise'))
    latent = Latent(made.latent_size, made.latent_distribution, latents)
    real = np.random.uniform(-1, 1, (batch, *made.generator(latent(2)).shape[1:])).astype(np.float32)
    updater = GANUpdater({'main': Repeat(real)}, optimizers, run.make_loss(settings), latent, settings['n_critic'],
                         InstanceNoise(settings['noise'], 0.0, noise), Average(made.generator, settings['average'], None))
    agree = clock.timed(processes.latest)

    def seconds_of(updates):
        processes.gather(None)      # so that all begin together
        start = time.perf_counter()
        for _ in range(updates):
            updater.update_core()
            agree(0)
        return time.perf_counter() - start

    threads = made.blas_threads or chainer.config.cpu_threads
    with threadpoolctl.threadpool_limits(threads, 'blas'), np.errstate(all='ignore'):
        seconds_of(WARM_UP)
        updates = processes.share(max(1, round(WARM_UP * seconds / seconds_of(WARM_UP))))
        clock.seconds = 0.0
        times = processes.gather((seconds_of(updates), clock.seconds))
    if processes.rank == 0:
        print(json.dumps([processes.size * batch * updates / max(spent for spent, _ in times),
                          statistics.mean(communication / spent for spent, communication in times)]))


def find_mpiexec():
    """Return the path of mpiexec, first of all that of this Python's environment, or None."""
    return shutil.which('mpiexec', path=f'{pathlib.Path(sys.executable).parent}{os.pathsep}{os.environ["PATH"]}')


def measure(name, processes, threads, batch, seconds):
    """Return images/s and the fraction of time in communication of new processes, or a text that says why they failed."""
    command = [sys.executable, __file__, name, '--worker', '--batchsize', str(batch), '--seconds', str(seconds)]
    if processes > 1:
        command = [find_mpiexec(), '-n', str(processes), *command]
    environment = {**os.environ, **OPEN_MPI, 'OMP_NUM_THREADS': str(threads), 'OPENBLAS_NUM_THREADS': str(threads)}
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    if done.returncode == 0:
        return json.loads(done.stdout.splitlines()[-1])
    sys.stderr.write(done.stderr)
    return next((line for line in done.stderr.splitlines() if 'Error' in line), f'exit status {done.returncode}')


def row(title, results, first):
    """Return a line of the table: medians of the results, and of their ratios to the results of the first row."""
    for failure in (result for result in [*results, *first] if isinstance(result, str)):
        return f'{title} failed: {failure}'
    speed, fraction = map(statistics.median, zip(*results))
    ratio = statistics.median(own / other for (own, _), (other, _) in zip(results, first))
    return f'{title}{speed:>10.0f}{ratio:>12.2f}{fraction:>15.1%}'


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('networks', nargs='*', choices=[[], *NETWORKS], metavar='NETWORK',
                        help=f'any of {", ".join(NETWORKS)} (default: all)')
    parser.add_argument('--processes', type=int, nargs='+', default=[2, 4], metavar='N',
                        help='numbers of processes beside 1 (default: 2 4)')
    parser.add_argument('--rounds', type=int, default=5, help='number of rounds of each row, in turn (default: 5)')
    parser.add_argument('--seconds', type=positive, default=2.0,
                        help='length of a round, which has at least one update (default: 2)')
    parser.add_argument('--batchsize', type=int, help='another batch size than that of the presets')
    parser.add_argument('--worker', action='store_true', help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.worker:
        return work(args.networks[0], args.batchsize, args.seconds)
    for missing in [what for what, there in (('mpi4py', importlib.util.find_spec('mpi4py')), ('mpiexec', find_mpiexec()))
                    if not there]:
        print(f"{parser.prog}: {missing} is not installed: pip install 'lsgan[mpi]'", file=sys.stderr)
        return 2
    print(f'NumPy {np.__version__}, Python {platform.python_version()}, {os.cpu_count()} cores, {args.rounds} rounds in turn')
    print(f'{"":<20}{"processes x threads":<21}{"batch of each":>13}{"images/s":>10}{"over 1 x 1":>12}{"communication":>15}',
          flush=True)
    failed = False
    for name in args.networks or NETWORKS:
        batch = args.batchsize or build(NETWORKS[name])[0]['batchsize']
        cases = [(name, 1, 1, batch), *(('  strong scaling', n, 1, batch // n) for n in args.processes),
                 *(('  weak scaling', n, 1, batch) for n in args.processes), ('  more threads', 1, 2, batch)]
        results = [[] for _ in cases]
        for _ in range(args.rounds):
            for found, (_, *case) in zip(results, cases):
                found.append(measure(name, *case, args.seconds))
        for found, (title, processes, threads, part) in zip(results, cases):
            print(row(f'{title:<20}{f"{processes} x {threads}":<21}{part:>13}', found, results[0]), flush=True)
            failed |= any(isinstance(result, str) for result in found)
    return int(failed)


if __name__ == '__main__':
    sys.exit(main())
