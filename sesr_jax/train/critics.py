"""Critics, the networks that rate images in adversarial training. They are trained and never deployed.

    critic = UNetCritic()
    variables = critic.init(key, images)
    (ratings, maps), updates = critic.apply(variables, images, follow=True, mutable=["batch_stats"])

A rating is a logit: positive where the critic takes the image for a photo.
"""

from collections.abc import Sequence

import jax
from flax import linen as nn

_SLOPE = 0.2


class UNetCritic(nn.Module):
    """Real-ESRGAN's discriminator, a U-Net that rates each pixel (Wang et al., ICCV Workshops 2021, §3.4).

    All convolutions but the first and the last are divided by their spectral norm (Miyato et al., ICLR 2018),
    the largest singular value of the kernel as a matrix of one row per output channel. One power iteration
    per call with `follow` keeps up with it, as in PyTorch. With 64 features on RGB it has 4,376,897
    parameters.

    Attributes:
      features: the channels of the first map; the narrowest has eight times as many.
    """

    features: int = 64

    @nn.compact
    def __call__(
        self, x: jax.Array, *, follow: bool = False
    ) -> tuple[jax.Array, Sequence[jax.Array]]:
        """Rates images.

        Args:
          x: ``[N, H, W, C]`` in [0, 1], with sides that are multiples of 8.
          follow: whether the spectral norms follow the kernels; "batch_stats" must then be mutable.

        Returns:
          The ratings ``[N, H, W, 1]``, and the maps of the way down, the largest first.
        """
        f = self.features

        def conv(h: jax.Array, features: int, name: str, *, halve: bool = False) -> jax.Array:
            size, stride = (4, 2) if halve else (3, 1)
            layer = nn.Conv(
                features, (size, size), stride, ((1, 1), (1, 1)), use_bias=False, name=name
            )
            h = nn.SpectralNorm(layer, name=f"{name}_norm")(h, update_stats=follow)
            return nn.leaky_relu(h, _SLOPE)

        def grow(h: jax.Array) -> jax.Array:
            n, height, width, c = h.shape
            return jax.image.resize(h, (n, 2 * height, 2 * width, c), "bilinear")

        first = nn.leaky_relu(nn.Conv(f, (3, 3), padding=1, name="head")(x), _SLOPE)
        maps = [first]
        for i in range(3):
            maps.append(conv(maps[-1], f * 2 ** (i + 1), f"down_{i}", halve=True))
        h = maps[-1]
        for i in range(3):
            h = conv(grow(h), f * 2 ** (2 - i), f"up_{i}") + maps[2 - i]
        for i in range(2):
            h = conv(h, f, f"refine_{i}")
        return nn.Conv(1, (3, 3), padding=1, name="tail")(h), maps
