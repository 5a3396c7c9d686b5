"""The settings of the emulation, from environment variables."""
import os
from pathlib import Path

NATIVE = Path(__file__).parent / 'native'
CACHE = Path(os.environ.get('CUPY_ON_CPU_CACHE', Path.home() / '.cache' / 'cupy_on_cpu'))


def setting(name, default=0):
    """Return the integer in the environment variable CUPY_ON_CPU_`name`, or the default."""
    return int(os.environ.get(f'CUPY_ON_CPU_{name}', default))
