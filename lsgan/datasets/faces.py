"""Cartoon faces drawn from known factors of variation: a data set that needs no download and has complete labels."""
import dataclasses
import functools
import math

import numpy
from PIL import Image, ImageDraw

from lsgan.datasets import cache

# The factors and their values. A value is drawn in its colour here, or by its branch in _Painter.
BACKGROUND = {'sky': '#a8d8ea', 'mint': '#b8e0c2', 'rose': '#f7c5cc', 'cream': '#fdf0c4', 'lilac': '#cfc3e8'}
SKIN = {'pale': '#ffe3d1', 'peach': '#f6c7a3', 'tan': '#d29a6a', 'brown': '#8f5b3a'}
HAIR_COLOUR = {'black': '#2b2630', 'brown': '#7a4a2b', 'blond': '#f0cf65', 'red': '#c8443a', 'blue': '#4567b7'}
HAIR = 'short', 'bob', 'long', 'tails'
EYES = {'blue': '#3f7fd0', 'green': '#3f9a58', 'brown': '#6b4226', 'violet': '#8a4fb0'}
MOUTH = 'smile', 'laugh', 'flat', 'round'
POSE = 'left', 'front', 'right'
FACTORS = {'background': tuple(BACKGROUND), 'skin': tuple(SKIN), 'hair_colour': tuple(HAIR_COLOUR), 'hair': HAIR,
           'eyes': tuple(EYES), 'mouth': MOUTH, 'pose': POSE}
_LINE, _WHITE, _LIPS, _BLUSH, _SHIRT = '#3a2a2e', '#ffffff', '#b0413e', '#f08f90', '#5b6b8c'
_VERSION = 1        # must change whenever the drawings change, because the cache keeps them
_FINER = 4          # supersampling: faces are drawn at this multiple of the size and averaged


@dataclasses.dataclass(frozen=True)
class Face:
    """Description of one face: a value for each factor, a position and a size.

    Attributes:
        background, skin, hair_colour, eyes (str): a value in `FACTORS`, or any other colour as #rrggbb.
        hair, mouth, pose (str): a value in `FACTORS`.
        x, y (float): offset of the face from its default position, as a fraction of the image's side; positive values move it
            right and down.
        scale (float): size relative to the default size; 1 is the default size.
    """

    background: str = 'sky'
    skin: str = 'peach'
    hair_colour: str = 'brown'
    hair: str = 'bob'
    eyes: str = 'blue'
    mouth: str = 'smile'
    pose: str = 'front'
    x: float = 0.0
    y: float = 0.0
    scale: float = 1.0


def load(size: int, n: int = 10000) -> tuple[numpy.ndarray, dict[str, numpy.ndarray], str]:
    """Return a data set of faces. Each factor is drawn independently and uniformly, with a fixed random seed.

    The images are drawn once and kept in the cache.

    Args:
        size: height and width of the images, in pixels.
        n: number of images.

    Returns:
        The images, a read-only, memory-mapped uint8 array of shape (n, 3, size, size); a dict from each factor to an int array
        of shape (n,), the index of each face's value in `FACTORS`; and the `lsgan.datasets.images.fingerprint` of the images.
    """
    draws = numpy.random.default_rng(0)
    values = {name: draws.integers(len(of), size=n) for name, of in FACTORS.items()}
    places = draws.uniform((-0.03, -0.02, 0.94), (0.03, 0.02, 1.06), (n, 3))

    def make(i):
        return draw(Face(*(of[values[name][i]] for name, of in FACTORS.items()), *places[i]), size)

    def items():
        return ((str(i), functools.partial(make, i), False) for i in range(n))
    images, _, digest = cache.images(['faces', _VERSION, n], (3, size, size), items, 'Drawing faces', n)
    return images, values, digest


def draw(face: Face, size: int) -> numpy.ndarray:
    """Draw a face.

    Args:
        face: what to draw.
        size: height and width of the image, in pixels.

    Returns:
        RGB image, uint8 of shape (3, size, size).
    """
    painter = _Painter(face, size * _FINER)
    painter.hair_behind()
    painter.head()
    painter.features()
    painter.hair_before()
    return numpy.asarray(painter.image.reduce(_FINER)).transpose(2, 0, 1)


class _Painter:
    """Painter of one face. In its coordinates, the centre of the head is (0, 0) and half the head's width is about 1."""

    def __init__(self, face, side):
        self.face = face
        self.image = Image.new('RGB', (side, side), BACKGROUND.get(face.background, face.background))
        self.pen = ImageDraw.Draw(self.image)
        self.unit = 0.29 * side * face.scale
        self.middle = side * (0.5 + face.x), side * (0.52 + face.y)
        self.turn = {'left': -0.24, 'front': 0.0, 'right': 0.24}[face.pose]     # horizontal shift of the face's front
        self.hair = HAIR_COLOUR.get(face.hair_colour, face.hair_colour)
        self.line = max(1, round(0.05 * self.unit))

    def at(self, *points):
        """Return points in the face's coordinates as a list of pixel coordinates."""
        return [(self.middle[0] + self.unit * x, self.middle[1] + self.unit * y) for x, y in points]

    def oval(self, x, y, a, b, fill, outline=None):
        """Draw an ellipse with centre (x, y) and semi-axes a and b."""
        self.pen.ellipse([*self.at((x - a, y - b))[0], *self.at((x + a, y + b))[0]], fill, outline, self.line)

    def shape(self, points, fill):
        self.pen.polygon(self.at(*points), fill, _LINE, self.line)

    def arc(self, x, y, a, b, start, end, width):
        self.pen.arc([*self.at((x - a, y - b))[0], *self.at((x + a, y + b))[0]], start, end, _LINE, round(width * self.line))

    def hair_behind(self):
        hair = self.face.hair
        if hair == 'tails':
            for side in -1, 1:
                self.oval(side * 1.32 - 0.3 * self.turn, 0.15, 0.34, 0.78, self.hair, _LINE)
        if hair == 'long':
            self.shape([(-1.12, -0.3), (-1.3, 1.75), (1.3, 1.75), (1.12, -0.3)], self.hair)
        if hair == 'bob':
            self.shape([(-1.12, -0.3), (-1.22, 0.75), (-0.8, 0.98), (0.8, 0.98), (1.22, 0.75), (1.12, -0.3)], self.hair)
        self.oval(-0.1 * self.turn, -0.22, 1.13, 1.12, self.hair, _LINE)

    def head(self):
        skin = SKIN.get(self.face.skin, self.face.skin)
        self.shape([(-0.95, 1.5), (-1.05, 2.2), (1.05, 2.2), (0.95, 1.5), (0.3, 1.24), (-0.3, 1.24)], _SHIRT)
        self.shape([(-0.26, 0.7), (-0.28, 1.24), (0.0, 1.5), (0.28, 1.24), (0.26, 0.7)], skin)
        for side in -1, 1:
            self.oval(side * 0.97 - 0.35 * self.turn, 0.12, 0.16, 0.22, skin, _LINE)
        outline = [(0.96 * math.cos(t), (1.0 if math.sin(t) > 0 else 0.98) * math.sin(t) * (1 + 0.06 * (math.sin(t) > 0.8)))
                   for t in numpy.linspace(0, 2 * math.pi, 60, endpoint=False)]
        self.shape(outline, skin)

    def features(self):
        turn, iris = self.turn, EYES.get(self.face.eyes, self.face.eyes)
        for side in -1, 1:
            x = side * 0.42 + turn
            self.oval(x, 0.12, 0.25, 0.31, _WHITE, _LINE)
            self.oval(x + 0.25 * turn, 0.15, 0.18, 0.24, iris)
            self.oval(x + 0.25 * turn, 0.18, 0.08, 0.12, _LINE)
            self.oval(x + 0.25 * turn - 0.07, 0.05, 0.06, 0.07, _WHITE)
            self.arc(x, -0.12, 0.26, 0.2, 200, 340, 1.4)
            self.oval(side * 0.56 + turn, 0.5, 0.13, 0.07, _BLUSH)
        self.arc(1.3 * turn, 0.38, 0.06, 0.05, 20, 160, 1)
        x, y = 1.1 * turn, 0.64
        mouth = self.face.mouth
        if mouth == 'smile':
            self.arc(x, y - 0.1, 0.26, 0.2, 15, 165, 1.6)
        elif mouth == 'laugh':
            self.pen.chord([*self.at((x - 0.28, y - 0.24))[0], *self.at((x + 0.28, y + 0.26))[0]], 0, 180, _LIPS, _LINE,
                           self.line)
        elif mouth == 'flat':
            self.pen.line(self.at((x - 0.2, y), (x + 0.2, y)), _LINE, round(1.6 * self.line))
        else:
            self.oval(x, y, 0.11, 0.14, _LIPS, _LINE)

    def hair_before(self):
        hair, turn = self.face.hair, 0.6 * self.turn
        ends = {'short': (-0.42, -0.3), 'bob': (-0.2, -0.2), 'long': (-0.3, -0.02), 'tails': (-0.36, -0.16)}[hair]
        fringe = [(-1.02, ends[1]), (-0.66 + turn, ends[0]), (-0.5 + turn, ends[0] - 0.1), (-0.2 + turn, ends[0] + 0.02),
                  (0.02 + turn, ends[0] - 0.12), (0.3 + turn, ends[0] + 0.02), (0.55 + turn, ends[0] - 0.1),
                  (0.72 + turn, ends[0]), (1.02, ends[1])]
        crown = [(1.1 * math.cos(t) - 0.1 * turn, -0.22 + 1.1 * math.sin(t)) for t in numpy.linspace(0, -math.pi, 30)]
        self.shape([*fringe, *crown], self.hair)
        if hair == 'long':
            for side in -1, 1:
                self.shape([(side * 0.98, -0.5), (side * 0.84, 0.5), (side * 0.92, 1.5), (side * 1.24, 1.5),
                            (side * 1.14, -0.4)], self.hair)
        elif hair == 'bob':
            for side in -1, 1:
                self.shape([(side * 0.98, -0.5), (side * 0.82, 0.3), (side * 0.9, 0.9), (side * 1.2, 0.7),
                            (side * 1.14, -0.4)], self.hair)
        elif hair == 'tails':
            for side in -1, 1:
                self.oval(side * 1.1 - 0.2 * self.turn, -0.48, 0.13, 0.13, _LIPS, _LINE)
