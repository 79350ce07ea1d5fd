"""What everything but the interpreters needs to know of an operation: one `Spec` beside each function.

From the specifications follow what a network costs and how far it looks (`graph`), where its tensors are
quantised (`quant`), how .tflite and .onnx files are cut into tiles (`upscale`), and an NPU's layers (`npu`).
Code for each operation stands only where values are computed: here, in `quant.integer`, and in `export`.
"""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from typing import Any, Literal, TypeAlias

import numpy as np

Shape: TypeAlias = tuple[int, ...]

Kind = Literal["convolution", "pointwise", "pooling", "movement", "statistics"]
"""What an operation costs: multiply-accumulates, a calculation per element, a comparison or sum per element
of a window, a copy, or a sum over the image."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Look:
    """Which pixels of its input an operation reads for an output pixel, along one axis.

    The input is spread out first, with `spread` - 1 gaps after each pixel. Output pixel `o` then reads the
    `side` places from ``o · stride - before`` on. So a convolution has a spread of 1, and a transposed
    convolution a stride of 1.
    """

    side: int = 1
    stride: int = 1
    spread: int = 1
    before: int = 0

    @property
    def step(self) -> Fraction:
        """The distance between neighbouring output pixels, in pixels of the input."""
        return Fraction(self.stride, self.spread)

    def reads(self, first: np.ndarray, last: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Returns the first and the last input pixel that the output pixels from `first` to `last` read."""
        start = first * self.stride - self.before
        end = last * self.stride - self.before + self.side - 1
        low, high = -(-start // self.spread), end // self.spread
        return np.minimum(low, high), np.maximum(low, high)  # gaps alone may have been read


Looks: TypeAlias = tuple[Look, Look] | None
"""The `Look` along height and width; None where a pixel depends on the whole image, or on its size."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Call:
    """One use of an operation, without values.

    Attributes:
      shapes: of the arrays that it is given, activations and parameters, in order.
      attrs: its keyword arguments.
    """

    shapes: Sequence[Shape]
    attrs: Mapping[str, Any]


def at_its_own_pixel(_: Call) -> Looks:
    """Returns the look of an operation whose output pixel reads the pixel in the same place."""
    return Look(), Look()


def at_the_whole_image(_: Call) -> Looks:
    """Returns None: an output pixel reads every pixel, or which ones it reads depends on the image's size."""
    return None


def window(side: int, stride: int = 1, before: int | None = None) -> Look:
    """Returns the look of a window of `side` pixels.

    Args:
      side: of the window, dilation included.
      stride: the distance between neighbouring windows.
      before: how many pixels are padded before the image; None for "SAME" at a size that the stride divides.
    """
    return Look(
        side=side, stride=stride, before=max(side - stride, 0) // 2 if before is None else before
    )


def spread_window(side: int, stride: int, before: int | None = None) -> Look:
    """Returns the look of a transposed convolution whose kernel has `side` taps.

    Args:
      side: of the kernel.
      stride: how many output pixels an input pixel gives.
      before: how many output pixels are cut off at the start; None for "SAME", TensorFlow's rule.
    """
    cut = max(side - stride, 0) // 2 if before is None else before
    return Look(side=side, spread=stride, before=side - 1 - cut)


def interpolation(
    step: Fraction, taps: int = 2, *, half_pixel: bool = True, nearest: bool = False
) -> Look:
    """Returns the look of a resizing.

    Args:
      step: the distance between output pixels in pixels of the input, such as 1/2 for twice the size.
      taps: 2 for linear, 4 for cubic interpolation.
      half_pixel: whether the centres of pixels lie at halves; else the first pixels' centres coincide.
      nearest: whether the pixel at the rounded-down place is copied; `taps` do not matter then.
    """
    # A place is (2 · step · o + shift) / 2 with step = p / q, so that all is counted in 2q-ths.
    p, q = step.numerator, step.denominator
    shift = p - q if half_pixel else 0
    if nearest:
        shift += q if half_pixel else 0  # the centre's own pixel
        return Look(side=2 * q, stride=2 * p, spread=2 * q, before=2 * q - 1 - shift)
    more = (taps // 2 - 1) * 2 * q
    return Look(
        side=4 * q - 1 + 2 * more, stride=2 * p, spread=2 * q, before=2 * q - 1 - shift + more
    )


def get_pixels_before(padding: Any) -> tuple[int | None, int | None]:
    """Returns how many pixels a `padding` adds above and to the left; None for "SAME"."""
    if padding == "SAME":
        return None, None
    if padding == "VALID":
        return 0, 0
    (top, _), (left, _) = padding
    return top, left


def one_tap(_: Call) -> tuple[int, int]:
    """Returns (1, 1): a calculation reads one pixel of each input."""
    return 1, 1


@dataclasses.dataclass(frozen=True, kw_only=True)
class Spec:
    """The facts about an operation.

    Attributes:
      kind: what it costs. A "convolution" takes its kernel, ``[kh, kw, in / groups, out]``, second.
      look: which input pixels an output pixel reads.
      taps: the height and width of what one calculation reads: of a kernel or a pooling window.
      ranges: "own" where the output's codes have a range of their own, "shared" where runtimes want one scale
        at input and output, and the smallest and the largest value where runtimes have one fixed range.
      before_relu: whether runtimes write the output after a ReLU that follows.
      activation: whether an NPU's convolution layer absorbs it.
      values: how many of its inputs it reads the values of, None for all; of the others it reads the shape.
      layer: the operation that it is on an NPU, where that has another name.
      no_int8: why TFLite has no kernel for INT8; None where it has one.
      no_int16: why it has no kernel for activations of 16 bits.
    """

    kind: Kind
    look: Callable[[Call], Looks] = at_its_own_pixel
    taps: Callable[[Call], tuple[int, int]] = one_tap
    ranges: Literal["own", "shared"] | tuple[float, float] = "own"
    before_relu: bool = False
    activation: bool = False
    values: int | None = None
    layer: str | None = None
    no_int8: str | None = None
    no_int16: str | None = None

    @property
    def is_per_pixel(self) -> bool:
        """Whether every call reads the pixel in its output's own place, and no other."""
        return self.look is at_its_own_pixel
