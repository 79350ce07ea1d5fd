"""The quality of an upscaler on several sets of images.

for score in measure(load_upscaler("sesr_m5_x2"), ["Set5", "Set14"]): print(score.data, score.mean["psnr"])
"""

import dataclasses
import pathlib
from collections.abc import Iterator, Mapping, Sequence

from tqdm import tqdm

from sesr_jax.data import source
from sesr_jax.metrics import Protocol, Y, evaluate, mean
from sesr_jax.upscale import Upscaler, in_domain


@dataclasses.dataclass(frozen=True, kw_only=True)
class Score:
    """One upscaler on one set.

    Attributes:
      data: the set, as it was named.
      pictures: by picture, "psnr" in dB and "ssim".
      mean: over the pictures.
    """

    data: str
    pictures: Mapping[str, Mapping[str, float]]
    mean: Mapping[str, float]

    @property
    def title(self) -> str:
        """What a column of a table is called."""
        return pathlib.Path(self.data).name

    def __str__(self) -> str:
        """PSNR in dB / SSIM."""
        return f"{self.mean['psnr']:.2f}/{self.mean['ssim']:.4f}"


def measure(upscaler: Upscaler, data: Sequence[str], protocol: Protocol = Y) -> Iterator[Score]:
    """The score on each set; a bar on a terminal shows how far it is.

    Args:
      upscaler: what is measured.
      data: folders of images, or "embedded:eval".
      protocol: how.

    Raises:
      InputError: there are no such images, or the upscaler does not suit the protocol.
    """
    function = in_domain(upscaler, protocol.domain)
    for name in data:
        title = f"{upscaler.name} on {name}"
        pictures = tqdm(source(name, upscaler.scale), desc=title, leave=False, disable=None)
        scores = dict(evaluate(function, pictures, upscaler.scale, protocol))
        yield Score(data=name, pictures=scores, mean=mean(scores.items()))
