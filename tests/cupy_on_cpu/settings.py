"""What the environment says about the emulation."""
import os
from pathlib import Path

NATIVE = Path(__file__).parent / 'native'
CACHE = Path(os.environ.get('CUPY_ON_CPU_CACHE', Path.home() / '.cache' / 'cupy_on_cpu'))


def setting(name, default=0):
    """Return the whole number that the environment variable CUPY_ON_CPU_`name` holds."""
    return int(os.environ.get(f'CUPY_ON_CPU_{name}', default))
