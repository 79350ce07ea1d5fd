"""EFDN: Edge-enhanced Feature Distillation Network (Wang, CVPR Workshops 2022).

The baseline of NTIRE 2025. On RGB:

    3×3 to f  →  cell, cell, F, cell, F, cell, F  →  + first feature map  →  3×3 to 3·s²  →  pixels  →  clip

    F:     1×1 of a concat with an earlier cell's output: of the first cell, then twice of the second
    cell:  1×1, PReLU, 3×3, PReLU, 3×3, PReLU; a 1×1 to f / 2 of its input and of each activation
        →  concat  →  1×1  →  enhanced spatial attention  →  + its input

The 3×3s train as sums with edge filters. The paper's sum, EDBB, has a plain 1×1 and an identity more than
`ecb`, the form here.
"""

import functools

import jax
from flax import linen as nn

from sesr_jax import ops
from sesr_jax.models.layers import PReLU, SpatialAttention, to_pixels
from sesr_jax.models.variant import Channels, FormOption, Variant
from sesr_jax.reparam import LinearConv, dense, find_form
from sesr_jax.reparam.linear_conv import Mode


class EFDNCell(nn.Module):
    """A cell; the fields are those of `EFDN`."""

    form: FormOption = "ecb"
    mode: Mode = "collapsed"

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """``[N, H, W, C] → [N, H, W, C]``."""
        features = x.shape[-1]
        point = functools.partial(LinearConv, form=dense(1), mode=self.mode)
        wide = functools.partial(LinearConv, form=find_form(self.form)(3), mode=self.mode)
        outputs = [x]
        for i, conv in enumerate((point, wide, wide)):
            h = conv(features, name=f"conv_{i}")(outputs[-1])
            outputs.append(PReLU(name=f"prelu_{i}")(h))
        kept = [point(features // 2, name=f"keep_{i}")(h) for i, h in enumerate(outputs)]
        y = point(features, name="fuse")(ops.concat(*kept))
        return ops.add(x, SpatialAttention(features // 4, name="attention")(y))


class EFDN(nn.Module):
    """``[N, H, W, C]`` in [0, 1] to ``[N, s·H, s·W, C]`` in [0, 1].

    Attributes:
      scale: s.
      features: f, 4 or more.
      channels: C; 3 for RGB.
      form: the form of the cells' 3×3 convolutions, or a name in `reparam.FORMS`.
      mode: see `LinearConv`.
    """

    scale: int = 4
    features: int = 48
    channels: Channels = 3
    form: FormOption = "ecb"
    mode: Mode = "collapsed"

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Upscales `x`."""

        def conv(h: jax.Array, features: int, name: str, size: int = 3) -> jax.Array:
            return LinearConv(features, dense(size), self.mode, name=name)(h)

        def cell(h: jax.Array, i: int) -> jax.Array:
            return EFDNCell(self.form, self.mode, name=f"cell_{i}")(h)

        h = shallow = conv(x, self.features, "head")
        first = cell(h, 0)
        earlier = second = cell(first, 1)
        h = conv(ops.concat(first, second), self.features, "fuse_0", size=1)
        for i in (2, 3):
            h = ops.concat(earlier, cell(h, i))
            h = conv(h, self.features, f"fuse_{i - 1}", size=1)
        y = conv(ops.add(h, shallow), self.channels * self.scale**2, "tail")
        return ops.clip(to_pixels(y, self.scale), low=0.0, high=1.0)


VARIANTS = {
    "efdn": Variant(build=EFDN, scales=(4,), paper="Wang, EFDN, CVPR Workshops 2022"),
}
