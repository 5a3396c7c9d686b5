"""Type aliases for the hints of several modules."""
import os
from typing import BinaryIO

PathLike = str | os.PathLike[str]
FileLike = PathLike | BinaryIO
