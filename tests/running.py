"""Runs the training scripts as a user does, makes data for them, and compares what they leave."""
import contextlib
import functools
import gzip
import http.server
import json
import os
import pathlib
import struct
import subprocess
import sys
import threading

import numpy as np

ROOT = pathlib.Path(__file__).resolve().parent.parent
SCRIPT = ROOT / 'train_gaussian.py'
SHORT = ['--epoch', '3', '--epoch-size', '60', '--log-interval', '20', '--metric-interval', '20', '--sample-interval', '60',
         '--snapshot-interval', '50', '--hidden-g', '16', '--hidden-d', '16', '--latent', '8', '--batchsize', '16']
TIMED = {'elapsed_time', 'images_per_second'}
PHONE = {'viewport': {'width': 390, 'height': 844}, 'is_mobile': True, 'has_touch': True}     # a context of Playwright

# a program whose dataset is read by another process, which is started by the method in its argument
WORKERS = '''import multiprocessing
import sys

import chainer


class Squares(chainer.dataset.DatasetMixin):

    def __len__(self):
        return 6

    def get_example(self, i):
        return i * i, multiprocessing.current_process().name


if __name__ == '__main__':
    multiprocessing.set_start_method(sys.argv[1])
    iterator = chainer.iterators.MultiprocessIterator(Squares(), 3, repeat=False, shuffle=False, n_processes=1)
    examples = [example for batch in iterator for example in batch]
    iterator.finalize()
    print([int(square) for square, _ in examples], len({name for _, name in examples} - {'MainProcess'}), 'worker')
'''
WORKERS_PRINT = '[0, 1, 4, 9, 16, 25] 1 worker\n'


def start(*flags, script=SCRIPT, **options):
    return subprocess.Popen([sys.executable, str(script), *map(str, flags)], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                            text=True, **options)


def train(*flags, **options):
    process = start(*flags, **options)
    out, err = process.communicate(timeout=600)
    return subprocess.CompletedProcess(process.args, process.returncode, out, err)


def python(*arguments, path=(), **options):
    """Runs Python in a process of its own; the folders of `path` come first where modules are looked for."""
    environment = {**os.environ, 'PYTHONPATH': os.pathsep.join(map(str, [*path, ROOT])), 'PYTHONWARNINGS': ''}
    return subprocess.run([sys.executable, *map(str, arguments)], env=environment, capture_output=True, text=True, timeout=120,
                          **options)


class _Files(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


@contextlib.contextmanager
def serve(folder):
    """The address of a web server that offers the files in a folder."""
    with http.server.ThreadingHTTPServer(('127.0.0.1', 0), functools.partial(_Files, directory=folder)) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield f'http://127.0.0.1:{server.server_port}'
        finally:
            server.shutdown()
            thread.join()


def idx(array):
    """The array as the bytes of an idx file."""
    return struct.pack(f'>BBBB{array.ndim}I', 0, 0, 8, array.ndim, *array.shape) + array.astype(np.uint8).tobytes()


def write_images(folder, side=28, train=60, test=40):
    """Writes noise as MNIST's files without labels into a new folder."""
    folder.mkdir()
    for name, n in ('train', train), ('t10k', test):
        noise = np.random.RandomState(n).randint(0, 256, (n, side, side))
        (folder / f'{name}-images-idx3-ubyte.gz').write_bytes(gzip.compress(idx(noise)))
    return folder


def arrays(path):
    with np.load(path, allow_pickle=False) as f:
        return {key: f[key] for key in f.files}


def same_arrays(a, b):
    a, b = arrays(a), arrays(b)
    return a.keys() == b.keys() and all(a[key].dtype == b[key].dtype and np.array_equal(a[key], b[key]) for key in a)


def settings_of(folder):
    return json.loads((folder / 'config.json').read_text())['settings']


def metrics_of(folder):
    return json.loads((folder / 'metrics.json').read_text())


def timeless_log(folder):
    return [{k: v for k, v in entry.items() if k not in TIMED} for entry in json.loads((folder / 'log').read_text())]


def assert_same_run(a, b, iteration=180):
    assert same_arrays(a / f'generator_iter_{iteration}.npz', b / f'generator_iter_{iteration}.npz')
    assert timeless_log(a) == timeless_log(b)
    for picture in (a / 'samples').iterdir():       # b may have one more, of where it was stopped
        assert picture.read_bytes() == (b / 'samples' / picture.name).read_bytes()


def assert_one_line(result, *words, status=2):
    assert result.returncode == status
    assert len(result.stderr.strip().splitlines()) == 1, result.stderr
    for word in words:
        assert word in result.stderr
