"""What `python -m lsgan.compat` runs: see `lsgan.compat.program`."""
from lsgan.compat import program

program.main()
