"""Animations of existing pictures."""
from collections.abc import Sequence

import numpy
from PIL import Image

from lsgan.errors import InputError
from lsgan.types import FileLike

FORMATS = {'.gif': 'GIF', '.png': 'PNG', '.webp': 'WEBP'}
MOST = 200      # frames; they last half a minute, and Pillow may keep all of them in memory


def animation(file: FileLike, frames: Sequence[FileLike], form: str = 'GIF', seconds: float = 0.15, hold: float = 2.0) -> None:
    """Write an endlessly looping animation. If there are more than 200 frames, use 200 evenly spaced ones.

    Args:
        file: destination.
        frames: pictures of equal size, in the order of the animation.
        form: file format: GIF, PNG or WEBP.
        seconds: duration of each frame, in seconds.
        hold: additional duration of the last frame, in seconds.

    Raises:
        InputError: if there is no frame, or if a frame is damaged or differs in size from the first one.
    """
    if not frames:
        raise InputError('an animation needs at least one frame')
    frames = [frames[i] for i in numpy.linspace(0, len(frames) - 1, min(len(frames), MOST), dtype=int)]
    size = read(frames[0]).size
    pictures = (read(frame, size) for frame in frames)     # read lazily: each takes several MiB
    if form == 'GIF':
        palette = _common_palette([read(frame, size) for frame in [frames[0], *frames[::-max(1, len(frames) // 8)]]])
        pictures = (picture.quantize(palette=palette, dither=Image.Dither.NONE) for picture in pictures)
    durations = [round(1000 * seconds)] * len(frames)
    durations[-1] += round(1000 * hold)
    first = next(pictures)
    rest = pictures if form == 'GIF' else list(pictures)    # for other formats, Pillow iterates over them twice
    first.save(file, form, save_all=True, append_images=rest, duration=durations, loop=0,
               lossless=True)       # for WebP, whose lossy default blurs small dots


def read(frame: FileLike, size: tuple[int, int] | None = None) -> Image.Image:
    """Return a picture in RGB.

    Args:
        frame (path or binary file): the picture.
        size (tuple of int): width and height that it must have, in pixels. None for any.

    Raises:
        InputError: if the picture is missing, damaged or of another size.
    """
    try:
        with Image.open(frame) as opened:
            picture = opened.convert('RGB')
    except Exception:       # Pillow raises many kinds for missing and damaged files
        raise InputError(f'{frame}: missing, damaged or not a picture') from None
    if size and picture.size != size:
        raise InputError(f'{frame}: this frame has {picture.width} x {picture.height} pixels, but the first frame has '
                         f'{size[0]} x {size[1]}')
    return picture


def _common_palette(pictures):
    """Return a picture whose palette of 256 colours suits all given pictures, which have one size.

    With a common palette, the parts of an animation that do not change do not flicker.
    """
    width, height = pictures[0].size
    strip = Image.new('RGB', (width, height * len(pictures)))
    for i, picture in enumerate(pictures):
        strip.paste(picture, (0, i * height))
    return strip.quantize(256)
