"""The quality of an upscaler on several sets of images.

for score in measure(load_upscaler("sesr_m5_x2"), ["Set5", "Set14"]): print(score.data, score.mean["psnr"])
"""

import dataclasses
import pathlib
from collections.abc import Iterator, Mapping, Sequence

from tqdm import tqdm

from sesr_jax.data import ImageSet, open_source
from sesr_jax.metrics import Protocol, Y, evaluate, mean
from sesr_jax.upscale import Upscaler, in_domain


@dataclasses.dataclass(frozen=True, kw_only=True)
class Score:
    """One upscaler on one set.

    Attributes:
      data: the set, as the caller named it.
      title: the header of its column in a table.
      images: "psnr" in dB and "ssim", by the name of the image.
      mean: the means of both over the images.
    """

    data: str
    title: str
    images: Mapping[str, Mapping[str, float]]
    mean: Mapping[str, float]

    def __str__(self) -> str:
        """Returns PSNR in dB / SSIM."""
        return f"{self.mean['psnr']:.2f}/{self.mean['ssim']:.4f}"


def shorten_names(paths: Sequence[str]) -> list[str]:
    """Returns the last parts of each path, as few as tell it from the others."""
    split = [pathlib.PurePath(path).parts for path in paths]

    def shorten(own: tuple[str, ...]) -> str:
        others = [parts for parts in split if parts != own]
        tails = (own[-count:] for count in range(1, len(own) + 1))
        unique = (t for t in tails if all(parts[-len(t) :] != t for parts in others))
        return "/".join(next(unique, own))

    return [shorten(parts) for parts in split]


def measure(upscaler: Upscaler, data: Sequence[str], protocol: Protocol = Y) -> Iterator[Score]:
    """Yields the score on each set, which it measures then; on a terminal a bar shows how far it is.

    Args:
      upscaler: the upscaler to measure.
      data: folders of images, or "embedded:eval".
      protocol: how to measure.

    Raises:
      InputError: there are no such images, or the upscaler does not suit the protocol.
    """
    function = in_domain(upscaler, protocol.domain)
    sets = [open_source(name, upscaler.scale) for name in data]

    def score(name: str, title: str, images: ImageSet) -> Score:
        doing = f"{upscaler.name} on {name}"
        shown = tqdm(images, desc=doing, leave=False, disable=None)
        scores = dict(evaluate(function, shown, upscaler.scale, protocol))
        return Score(data=name, title=title, images=scores, mean=mean(scores.items()))

    return map(score, data, shorten_names(data), sets)
