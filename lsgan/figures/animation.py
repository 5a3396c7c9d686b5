"""Moving pictures, made from pictures that exist."""
from PIL import Image

from lsgan.errors import InputError

FORMATS = {'.gif': 'GIF', '.png': 'PNG', '.webp': 'WEBP'}


def animation(file, frames, form='GIF', seconds=0.15, hold=2.0):
    """Writes an endless animation.

    Args:
        file (path or binary file): where it is written.
        frames (sequence of paths or binary files): pictures of one size, the first first.
        form (str): GIF, PNG or WEBP.
        seconds (float): how long each frame is seen.
        hold (float): how much longer the last one is, in seconds.

    Raises:
        InputError: where there is no frame, or one is damaged or of another size than the first.
    """
    pictures = [_read(frame) for frame in frames]
    if not pictures:
        raise InputError('an animation needs a frame')
    for frame, picture in zip(frames, pictures, strict=True):
        if picture.size != pictures[0].size:
            raise InputError(f'{frame}: {picture.width} x {picture.height} pixels, the first frame is '
                             f'{pictures[0].width} x {pictures[0].height}')
    if form == 'GIF':
        pictures = _with_one_palette(pictures)
    durations = [round(1000 * seconds)] * len(pictures)
    durations[-1] += round(1000 * hold)
    pictures[0].save(file, form, save_all=True, append_images=pictures[1:], duration=durations, loop=0,
                     lossless=True)     # of WebP, whose default blurs small dots


def _read(frame):
    try:
        with Image.open(frame) as picture:
            return picture.convert('RGB')
    except Exception:       # Pillow has many for a file that is missing, cut short or no picture
        raise InputError(f'{frame}: missing, damaged or no picture') from None


def _with_one_palette(pictures):
    """The pictures in 256 colours common to all, so that what stands still does not flicker."""
    some = [pictures[0], *pictures[::-max(1, len(pictures) // 8)]]
    width, height = some[0].size
    strip = Image.new('RGB', (width, height * len(some)))
    for i, picture in enumerate(some):
        strip.paste(picture, (0, i * height))
    palette = strip.quantize(256)
    return [picture.quantize(palette=palette, dither=Image.Dither.NONE) for picture in pictures]
