"""Check that the emulated device detects faults: each program with a planted fault fails, and correct programs pass."""
import importlib.metadata
import os
import re
import subprocess
import sys

import cupy_on_cpu
import pytest

pytestmark = [pytest.mark.gpu, pytest.mark.script,
              pytest.mark.skipif(not cupy_on_cpu.requested(), reason='tests of the emulated device, with CUPY_ON_CPU=1')]

HEAD = '''
import cupy
import numpy

def kernel(source):
    return cupy.RawKernel('extern "C" __global__ void k' + source, 'k')

def assert_equal(array, expected):
    assert (array.get() == expected).all(), 'wrong numbers'

'''
ARRAYS = HEAD + '''
x, y = cupy.arange(256, dtype='f'), cupy.empty(256, 'f')
'''
REVERSE = ARRAYS + '''
kernel("""(const float *x, float *y) {
    __shared__ float s[256];
    int t = threadIdx.x;
    s[t] = x[t];
    BARRIER
    y[t] = s[255 - t];
}""")((1,), (256,), (x, y))
assert_equal(y, numpy.arange(256)[::-1])
'''
SUM = ARRAYS + '''
kernel("""(const float *x, float *y) {
    float sum = x[threadIdx.x];
    for (int d = 16; d; d /= 2) sum += __shfl_down_sync(0xffffffff, sum, d);
    if (threadIdx.x % 32 == 0) y[threadIdx.x / 32] = sum;
}""")((1,), (256,), (x, y))
assert_equal(y[:8], numpy.arange(256).reshape(8, 32).sum(1))
'''
COPY = ARRAYS + '''
kernel('(const float *x, float *y) { y[threadIdx.x] = x[threadIdx.x]; }')((1,), (128,), (GIVEN, y))
assert_equal(y[:128], numpy.arange(128) * STEP)
'''
BEYOND = HEAD + '''
x, y = cupy.ones(1024, 'f'), cupy.empty(1, 'f')
kernel('(const float *x, float *y) { y[0] = x[INDEX]; }')((1,), (1,), (x, y))
y.get()
'''
FILL = ARRAYS + '''
kernel('(float *y, float value) { y[threadIdx.x] = value; }')((1,), (256,), (y, VALUE))
assert_equal(y, numpy.float32(0.1))
'''
STREAMS = HEAD + '''
first, second = (cupy.cuda.Stream(non_blocking=True) for _ in range(2))
a, b = cupy.zeros(256, 'f'), cupy.zeros(256, 'f')
cupy.cuda.Device().synchronize()
with first:
    a += 1
BETWEEN
with second:
    cupy.add(a, 1, out=b)
second.synchronize()
first.synchronize()
assert_equal(b, 2)
'''
LEGACY = HEAD + '''
stream, a, b = cupy.cuda.Stream(non_blocking=NON_BLOCKING), cupy.zeros(256, 'f'), cupy.zeros(256, 'f')
cupy.cuda.Device().synchronize()
a += 1
with stream:
    cupy.add(a, 1, out=b)
stream.synchronize()
assert_equal(b, 2)
'''
PINNED = HEAD + '''
stream, a = cupy.cuda.Stream(non_blocking=True), cupy.zeros(256, 'f')
cupy.cuda.Device().synchronize()
memory = cupy.cuda.alloc_pinned_memory(1024)
host = numpy.frombuffer(memory, 'f', 256)
host[...] = 1
a.data.copy_from_host_async(memory.ptr, 1024, stream)
BETWEEN
host[...] = 2
stream.synchronize()
assert_equal(a, 1)
'''
CAPTURE = ARRAYS + '''
with cupy.cuda.Stream(non_blocking=True) as stream:
    z = cupy.empty_like(x)
    cupy.cuda.Device().synchronize()
    stream.begin_capture()
    CAPTURED
    graph = stream.end_capture()
    for _ in range(2):
        graph.launch(stream)
    stream.synchronize()
assert_equal(z, numpy.arange(256) + 1)
'''
LEGACY_CAPTURE = ARRAYS + '''
stream = cupy.cuda.Stream(non_blocking=NON_BLOCKING)
stream.begin_capture()
x += 1
stream.end_capture()
'''
SIZE = ARRAYS + '''
kernel('(float *y) { extern __shared__ float s[]; s[threadIdx.x] = 1; }')((1,), (THREADS,), (y,), shared_mem=SHARED)
'''
COMPILE = HEAD + '''
kernel("""(float *y) { BODY }""").compile()
'''
NVRTC = HEAD + '''
cupy.RawKernel("""HEADER
extern "C" __global__ void k(float *y) { y[threadIdx.x] = 1; }""", 'k').compile()
'''
WRONG = 'AssertionError: wrong numbers'
BARRIER = '__syncthreads();'


def planted(program, **values):
    for name, value in values.items():
        assert name in program
        program = program.replace(name, value)
    return program


def run(program, **settings):
    """Run a program in a new process. Return its standard error or signal if it fails, and otherwise ''."""
    done = subprocess.run([sys.executable, '-c', program], capture_output=True, text=True, timeout=300,
                          env={**os.environ, **cupy_on_cpu.environment(**settings)})
    if done.returncode < 0:
        return f'signal {-done.returncode}'
    return done.stderr.strip() if done.returncode else ''


@pytest.mark.parametrize('order', [0, 1, 2])
@pytest.mark.parametrize('program', [planted(REVERSE, BARRIER=BARRIER), SUM], ids=['shared memory', 'warps'])
def test_results_do_not_depend_on_order_of_threads(program, order):
    assert run(program, ORDER=order) == ''


SOUND = {
    'contiguous array': (planted(COPY, GIVEN='cupy.ascontiguousarray(x[::2])', STEP='2'), {}),
    'float32 number': (planted(FILL, VALUE='numpy.float32(0.1)'), {}),
    'last element': (planted(BEYOND, INDEX='1023'), {'GUARD': 1}),
    'two streams with an event': (planted(STREAMS, BETWEEN='second.wait_event(first.record())'), {'LAZY': 1}),
    'blocking stream': (planted(LEGACY, NON_BLOCKING='False'), {'LAZY': 1}),
    'copy waited for': (planted(PINNED, BETWEEN='stream.synchronize()'), {'LAZY': 1}),
    'graph': (planted(CAPTURE, CAPTURED='cupy.add(x, 1, out=z)'), {}),
    'deferred graph': (planted(CAPTURE, CAPTURED='cupy.add(x, 1, out=z)'), {'LAZY': 1}),
    'legacy stream beside a capture': (planted(LEGACY_CAPTURE, NON_BLOCKING='True'), {}),
    'largest block': (planted(SIZE, THREADS='1024', SHARED='49152'), {}),
    'kernel that compiles': (planted(COMPILE, BODY='y[0] = 1;'), {}),
}


@pytest.mark.parametrize('program, settings', SOUND.values(), ids=SOUND)
def test_correct_programs_pass(program, settings):
    assert run(program, **settings) == ''


FAULTS = {
    'no barrier': (planted(REVERSE, BARRIER=''), {}, WRONG),
    'no barrier, falling': (planted(REVERSE, BARRIER=''), {'ORDER': 1}, WRONG),
    'no barrier, shuffled': (planted(REVERSE, BARRIER=''), {'ORDER': 2}, WRONG),
    'barrier for some': (planted(REVERSE, BARRIER='if (t < 100) __syncthreads(); else if (t < 110) __syncwarp();'), {},
                         'wait for each other for ever'),
    'read beyond the end': (planted(BEYOND, INDEX='1024'), {'GUARD': 1}, 'signal 11'),
    'uninitialised read': (HEAD + 'assert not cupy.isnan(cupy.empty(1 << 20, "f")).any(), "NaN"', {}, 'AssertionError: NaN'),
    'Python float': (planted(FILL, VALUE='0.1'), {}, WRONG),
    'strided view': (planted(COPY, GIVEN='x[::2]', STEP='2'), {}, WRONG),
    'float64 array': (planted(COPY, GIVEN='x.astype("d")', STEP='1'), {}, WRONG),
    'NumPy operand': (ARRAYS + 'x + numpy.ones(256, "f")', {}, 'TypeError: Unsupported type'),
    'NumPy conversion': (ARRAYS + 'numpy.asarray(x)', {}, 'TypeError: Implicit conversion to a NumPy array'),
    'NumPy argument': (planted(COPY, GIVEN='numpy.ones(128, "f")', STEP='1'), {}, 'TypeError.*pass a cupy.ndarray'),
    'large block': (planted(SIZE, THREADS='1025', SHARED='0'), {}, 'CUDA_ERROR_1:'),
    'much shared memory': (planted(SIZE, THREADS='32', SHARED='65536'), {}, 'CUDA_ERROR_1:'),
    'locked memory written again': (planted(PINNED, BETWEEN=''), {'LAZY': 1}, WRONG),
    'two streams without an event': (planted(STREAMS, BETWEEN=''), {'LAZY': 1}, WRONG),
    'legacy stream not waited for': (planted(LEGACY, NON_BLOCKING='True'), {'LAZY': 1}, WRONG),
    'product in a capture': (planted(CAPTURE, CAPTURED='x.reshape(16, 16) @ x.reshape(16, 16)'), {}, 'Error.*captur'),
    'number for the host in a capture': (planted(CAPTURE, CAPTURED='float(x[0])'), {}, 'Error.*captur'),
    'legacy stream beside a blocking capture': (planted(LEGACY_CAPTURE, NON_BLOCKING='False'), {}, 'CUDA_ERROR_906:'),
    'kernel that does not compile': (planted(COMPILE, BODY='y[0] = z;'), {}, 'CompileException'),
}


@pytest.mark.parametrize('program, settings, sign', FAULTS.values(), ids=FAULTS)
def test_planted_faults_are_found(program, settings, sign):
    assert re.search(sign, run(program, **settings), re.S)


def test_report_names_launches_and_waits(tmp_path):
    script, report = tmp_path / 'script.py', tmp_path / 'report'
    script.write_text('import cupy\nx = cupy.ones((4, 4))\nx @ x\nfloat(x[2, 2])\n')
    subprocess.run([sys.executable, script], check=True, timeout=300,
                   env={**os.environ, **cupy_on_cpu.environment(REPORT=report)})
    lines = report.read_text().splitlines()
    assert "'products': 1, 'copies in': 0, 'copies out': 1," in lines[0]
    assert f'       1 copy out: {script}:4 <module>' in lines
    assert any(line.endswith('kernel cuBLAS float64') for line in lines)


@pytest.mark.parametrize('header, sign', [('', ''), ('#include <vector>', 'vector')], ids=['sound', 'header of the host'])
def test_nvrtc_compiles_kernels_too(header, sign):
    try:
        importlib.metadata.version('nvidia-cuda-nvrtc')
    except importlib.metadata.PackageNotFoundError:
        pytest.skip('NVRTC is not installed: pip install nvidia-cuda-nvrtc')
    error = run(planted(NVRTC, HEADER=header), NVRTC=1)
    assert sign in error and bool(sign) == bool(error)
