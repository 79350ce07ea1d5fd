"""The values by which a family's file describes its networks: variants, options and published figures.

    VARIANTS = {"xlsr": Variant(build=XLSR, scales=(3,), paper="Ayazoglu, XLSR, CVPR Workshops 2021")}

`models.registry` gathers the `VARIANTS` of all families.
"""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Literal, Protocol, runtime_checkable

from sesr_jax.models.published import Published, Quality
from sesr_jax.reparam import Factory
from sesr_jax.reparam.linear_conv import Mode

Channels = Literal[1, 3]
"""The channels of the images: 1 for Y, 3 for RGB."""

FormOption = Factory | str
"""An option that chooses the form of convolutions: a function from the kernel size to the form, or a name in
`reparam.FORMS`."""


@dataclasses.dataclass(frozen=True)
class AtLeast:
    """The smallest value of an option, as in ``Annotated[int, AtLeast(0)]``; it is 1 where none is given."""

    value: int


@runtime_checkable
class UpscalingModule(Protocol):
    """The fields of a Flax module that maps ``[N, H, W, channels]`` to ``[N, s·H, s·W, channels]``.

    Attributes:
      scale: s, the scale factor.
      channels: the channels of the images at both ends; 1 for Y, 3 for RGB.
      mode: see `LinearConv`.
    """

    @property
    def scale(self) -> int: ...  # noqa: D102
    @property
    def channels(self) -> int: ...  # noqa: D102
    @property
    def mode(self) -> Mode: ...  # noqa: D102


@dataclasses.dataclass(frozen=True, kw_only=True)
class Variant:
    """One network of a family, by the name under which it was published.

    Attributes:
      build: makes the Flax module; takes `scale` and the module's own options.
      scales: the scale factors that it can take.
      paper: where it and its figures were published.
      figures: the figures that its paper prints, one row per scale.
    """

    build: Callable[..., UpscalingModule]
    scales: tuple[int, ...]
    paper: str
    figures: tuple[Published, ...] = ()

    @property
    def published(self) -> Mapping[int, Mapping[str, Quality]]:
        """The paper's own PSNR and SSIM, by scale and data set."""
        return {row.scale: row.quality for row in self.figures}
