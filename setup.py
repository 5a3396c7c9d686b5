import re
from pathlib import Path

from setuptools import find_packages, setup

here = Path(__file__).parent

setup(
    version=re.search(r"__version__ = '(.+)'", (here / 'lsgan' / '__init__.py').read_text())[1],
    description='Least Squares GANs in Chainer, on the machines of today',
    long_description=(here / 'README.md').read_text(encoding='utf-8'),
    long_description_content_type='text/markdown',
    license='MIT',
    packages=find_packages(include=['lsgan', 'lsgan.*']),
    package_data={'lsgan.figures': ['page.html'], 'lsgan.networks': ['features.npz', 'judge.npz']},
    scripts=['train_gaussian.py', 'train_mnist.py', 'train_anime.py', 'visualize.py'],
    install_requires=[
        'chainer==7.8.1',
        'numpy>=2',
        'matplotlib>=3.11',                     # lays out right-to-left and joined scripts
        'pillow>=10.1',
        'tqdm>=4.60',
        'threadpoolctl>=3.8',                   # from here on several threads may limit BLAS
        'numba>=0.63; platform_machine in "x86_64 AMD64 aarch64 arm64"',    # the CPU kernels; elsewhere Chainer's own run
    ],
    extras_require={
        # [ctk] brings NVIDIA's libraries and headers, new with CuPy 14, but not cuDNN, which has its own Python front end
        'cuda12': ['cupy-cuda12x[ctk]>=14', 'nvidia-cudnn-cu12>=9.8', 'nvidia-cudnn-frontend>=1.14'],
        'cuda13': ['cupy-cuda13x[ctk]>=14', 'nvidia-cudnn-cu13>=9.12', 'nvidia-cudnn-frontend>=1.14'],
        'mpi': ['mpi4py>=4', 'openmpi>=5'],     # mpiexec and the MPI library; any other MPI serves, too
        'onnx': ['onnx>=1.17'],                 # visualize.py export --format onnx
        'tensorboard': ['tensorboardx>=2.6'],
        'test': ['pytest>=8', 'hypothesis>=6', 'ruff>=0.6', 'ipykernel>=6.29', 'nbclient>=0.10', 'onnx>=1.17',
                 'onnxruntime>=1.20',
                 'playwright>=1.50; platform_machine in "x86_64 AMD64 aarch64 arm64"'],     # drives an installed Chromium
    },
)
