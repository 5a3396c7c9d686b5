"""What every way to convolve images shares, on a CPU and on a GPU."""
import dataclasses


@dataclasses.dataclass(frozen=True)
class Geometry:
    """How a *big* image (x of a convolution, y of a deconvolution) and a *small* one lie to each other; (height, width)."""

    kernel: tuple
    stride: tuple
    pad: tuple
    big: tuple
    small: tuple


class Way:
    """One way to convolve images that lie in memory as (N, height, width, channels); a subclass gives `run`.

    Args:
        geometry (Geometry): of the images.
        W: array of the weights (O, C, kh, kw), from C channels of the big to O of the small image.
    """

    def __init__(self, geometry, W):
        self.geometry, self.dtype = geometry, W.dtype
        self.O, self.C = W.shape[:2]

    def to_small(self, big, bias=None):
        """Return the convolution of (N, H, W, C): (N, h, w, O), plus a bias (O,) or None."""
        return self.run(big, None, bias, 'small', False)[0]

    def to_big(self, small, bias=None):
        """Return the deconvolution of (N, h, w, O): (N, H, W, C), plus a bias (C,) or None."""
        return self.run(None, small, bias, 'big', False)[0]

    def run(self, big, small, bias, image, weights):
        """Return any of an image and the weights' gradient.

        Args:
            big, small: the images; one may be None where only the other is needed.
            image (str): big or small, to be made from the other one and the bias, or None.
            weights (bool): whether to make the gradient of the weights, from the two images, of which one is a gradient.

        Returns:
            tuple: the image and the gradient (O, C, kh, kw), None for what was not asked for.
        """
        raise NotImplementedError
