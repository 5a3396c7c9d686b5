"""Moving pictures, made from pictures that exist."""
import numpy
from PIL import Image

from lsgan.errors import InputError

FORMATS = {'.gif': 'GIF', '.png': 'PNG', '.webp': 'WEBP'}
MOST = 200      # frames, which Pillow holds all; half a minute


def animation(file, frames, form='GIF', seconds=0.15, hold=2.0):
    """Writes an endless animation; of more than 200 frames as many, evenly chosen, with the first and the last.

    Args:
        file (path or binary file): where it is written.
        frames (sequence of paths or binary files): pictures of one size, the first first.
        form (str): GIF, PNG or WEBP.
        seconds (float): how long each frame is seen.
        hold (float): how much longer the last one is, in seconds.

    Raises:
        InputError: where there is no frame, or one is damaged or of another size than the first.
    """
    if not frames:
        raise InputError('an animation needs a frame')
    frames = [frames[i] for i in numpy.linspace(0, len(frames) - 1, min(len(frames), MOST), dtype=int)]
    size = _read(frames[0]).size
    pictures = (_read(frame, size) for frame in frames)     # one at a time, of several MiB
    if form == 'GIF':
        palette = _common_palette([_read(frame, size) for frame in [frames[0], *frames[::-max(1, len(frames) // 8)]]])
        pictures = (picture.quantize(palette=palette, dither=Image.Dither.NONE) for picture in pictures)
    durations = [round(1000 * seconds)] * len(frames)
    durations[-1] += round(1000 * hold)
    first = next(pictures)
    rest = pictures if form == 'GIF' else list(pictures)    # Pillow goes through those of other formats twice
    first.save(file, form, save_all=True, append_images=rest, duration=durations, loop=0,
               lossless=True)       # of WebP, whose default blurs small dots


def _read(frame, size=None):
    try:
        with Image.open(frame) as opened:
            picture = opened.convert('RGB')
    except Exception:       # Pillow has many for a file that is missing, cut short or no picture
        raise InputError(f'{frame}: missing, damaged or no picture') from None
    if size and picture.size != size:
        raise InputError(f'{frame}: {picture.width} x {picture.height} pixels, the first frame is {size[0]} x {size[1]}')
    return picture


def _common_palette(pictures):
    """A picture of 256 colours that some of the same size have in common, so that what stands still does not flicker."""
    width, height = pictures[0].size
    strip = Image.new('RGB', (width, height * len(pictures)))
    for i, picture in enumerate(pictures):
        strip.paste(picture, (0, i * height))
    return strip.quantize(256)
