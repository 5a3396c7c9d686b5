"""Compile every CUDA kernel of lsgan with NVIDIA's compiler, NVRTC, for several GPUs.

Needs neither a GPU nor a driver, only CuPy's wheel and NVRTC (140 MB):

    pip install 'cupy-cuda13x==14.*' nvidia-cuda-nvrtc
    python tests/compile_kernels.py

Prints a line for each kernel. The exit status is 1 if a kernel does not compile, after the compiler's message.
"""
import argparse
import importlib
import pkgutil
import sys

import lsgan
from lsgan.functions.gpu.kernel import KERNELS, options_for

ARCHITECTURES = '80', '90', '100', '120'    # A100, H100 and H200, B200, RTX 50


def all_kernels():
    """Return every `Kernel` that a module of lsgan makes."""
    for module in pkgutil.walk_packages(lsgan.__path__, 'lsgan.'):
        importlib.import_module(module.name)
    return KERNELS


def message_for(kernel, char, architecture):
    """Return the compiler's message for a kernel, or None if it compiles.

    Args:
        kernel (Kernel): the kernel.
        char (str): NumPy's code of the type that stands for T, f or d.
        architecture (str): the compute capability without its point, such as 90.
    """
    from cupy.cuda import nvrtc
    # CuPy's own options, too: cupy.cuda.compiler
    options = *options_for(char), f'-arch=sm_{architecture}', '-ftz=true', '--device-as-default-execution-space'
    program = nvrtc.createProgram(kernel.source, f'{kernel.name}.cu', (), ())
    try:
        nvrtc.compileProgram(program, options)
        nvrtc.getCUBIN(program)
    except nvrtc.NVRTCError as error:
        return nvrtc.getProgramLog(program).strip() or str(error)
    finally:
        nvrtc.destroyProgram(program)


def compile_all(kernels, architectures):
    """Compile kernels, print a line for each, and return how many failed."""
    failed = 0
    for kernel in kernels:
        for char in kernel.types:
            messages = {a: message_for(kernel, char, a) for a in architectures}
            print(f'{kernel.name:32} {"float32" if char == "f" else "float64"}',
                  *(f'sm_{a} {"FAILED" if message else "ok"}' for a, message in messages.items()), sep='  ', flush=True)
            for message in dict.fromkeys(filter(None, messages.values())):
                print(message, file=sys.stderr)
            failed += any(messages.values())
    return failed


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--arch', nargs='+', default=ARCHITECTURES, metavar='CC',
                        help='compute capabilities without their points, of the GPUs to compile for (default: '
                             f'{" ".join(ARCHITECTURES)}, which are A100, H100 and H200, B200, and RTX 50)')
    args = parser.parse_args()
    try:
        from cupy.cuda import nvrtc
        version = '.'.join(map(str, nvrtc.getVersion()))
    except Exception as error:      # each of CuPy and NVIDIA's library finder has errors of its own
        parser.error(f'NVRTC cannot be used ({str(error).splitlines()[0]}): '
                     "pip install 'cupy-cuda13x==14.*' nvidia-cuda-nvrtc")
    kernels = all_kernels()
    failed = compile_all(kernels, args.arch)
    print(f'NVRTC {version}: {len(kernels)} kernels for {len(args.arch)} architectures, {failed} failed')
    return 1 if failed else 0


if __name__ == '__main__':
    sys.exit(main())
