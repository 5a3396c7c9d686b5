"""What `python -m lsgan.compat` runs: see `lsgan.compat.program`."""
from lsgan.compat import program

if __name__ == '__main__':
    program.main()
