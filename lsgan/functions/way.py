"""The interface of the convolution algorithms, on CPU and GPU."""
import dataclasses

from chainer.types import NdArray


@dataclasses.dataclass(frozen=True)
class Geometry:
    """The sizes in a convolution from a *big* to a *small* image, or in a deconvolution back; each is (height, width)."""

    kernel: tuple
    stride: tuple
    pad: tuple
    big: tuple
    small: tuple


class Way:
    """An algorithm that convolves images stored as (N, height, width, channels); subclasses define `run`.

    Args:
        geometry: the sizes of images and kernel.
        W: array of weights (O, C, kh, kw), for C channels of the big image and O channels of the small one.
    """

    def __init__(self, geometry: Geometry, W: NdArray):
        self.geometry, self.dtype = geometry, W.dtype
        self.O, self.C = W.shape[:2]

    def to_small(self, big: NdArray, bias: NdArray | None = None) -> NdArray:
        """Return the convolution (N, h, w, O) of big images (N, H, W, C), plus a bias (O,) unless that is None."""
        return self.run(big, None, bias, 'small', False)[0]

    def to_big(self, small: NdArray, bias: NdArray | None = None) -> NdArray:
        """Return the deconvolution (N, H, W, C) of small images (N, h, w, O), plus a bias (C,) unless that is None."""
        return self.run(None, small, bias, 'big', False)[0]

    def run(self, big: NdArray | None, small: NdArray | None, bias: NdArray | None, image: str | None,
            weights: bool) -> tuple[NdArray | None, NdArray | None]:
        """Compute an image, the gradient of the weights, or both.

        Args:
            big, small: arrays of images; None for one that is not needed.
            bias: array for the channels of the computed image, or None.
            image: the image to compute from the other one, big or small, or None.
            weights: whether to compute the gradient of the weights. It takes both images. One of them is then the gradient
                with respect to the output.

        Returns:
            The image and the gradient (O, C, kh, kw), each None if not asked for.
        """
        raise NotImplementedError
