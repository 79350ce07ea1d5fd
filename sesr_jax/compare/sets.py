"""The quality of an upscaler on several sets of images.

for score in measure(load_upscaler("sesr_m5_x2"), ["Set5", "Set14"]): print(score.data, score.mean["psnr"])
"""

import dataclasses
import pathlib
from collections.abc import Iterator, Mapping, Sequence

from tqdm import tqdm

from sesr_jax.data import ImageSet, open_source
from sesr_jax.metrics import NiqeModel, Protocol, Y, evaluate, mean
from sesr_jax.upscale import Upscaler, in_domain


@dataclasses.dataclass(frozen=True, kw_only=True)
class Score:
    """One upscaler on one set.

    Attributes:
      data: the set, as the caller named it.
      title: the header of its column in a table.
      images: "psnr" in dB, "ssim" and perhaps "niqe", by the name of the image.
      mean: the means of them over the images.
    """

    data: str
    title: str
    images: Mapping[str, Mapping[str, float]]
    mean: Mapping[str, float]

    def __str__(self) -> str:
        """Returns the means as `name_scores` names them."""
        digits = {"psnr": 2, "ssim": 4, "niqe": 2}
        return "/".join(f"{value:.{digits[key]}f}" for key, value in self.mean.items())


def name_scores(score: Score) -> str:
    """Returns what a score's text holds, such as "PSNR in dB / SSIM"."""
    names = {"psnr": "PSNR in dB", "ssim": "SSIM", "niqe": "NIQE"}
    return " / ".join(names[key] for key in score.mean)


def shorten_names(paths: Sequence[str]) -> list[str]:
    """Returns the last parts of each path, as few as tell it from the others."""
    split = [pathlib.PurePath(path).parts for path in paths]

    def shorten(own: tuple[str, ...]) -> str:
        others = [parts for parts in split if parts != own]
        tails = (own[-count:] for count in range(1, len(own) + 1))
        unique = (t for t in tails if all(parts[-len(t) :] != t for parts in others))
        return "/".join(next(unique, own))

    return [shorten(parts) for parts in split]


def measure(
    upscaler: Upscaler,
    data: Sequence[str],
    protocol: Protocol = Y,
    niqe_model: NiqeModel | None = None,
) -> Iterator[Score]:
    """Yields the score on each set, which it measures then; on a terminal a bar shows how far it is.

    Args:
      upscaler: the upscaler to measure.
      data: folders of images, or "embedded:eval".
      protocol: how to measure.
      niqe_model: what NIQE compares with, if that is to be measured too.

    Raises:
      InputError: as `evaluate`, or there are no such images, or the upscaler does not suit the protocol.
    """
    function = in_domain(upscaler, protocol.domain)
    sets = [open_source(name, upscaler.scale) for name in data]

    def score(name: str, title: str, images: ImageSet) -> Score:
        doing = f"{upscaler.name} on {name}"
        shown = tqdm(images, desc=doing, leave=False, disable=None)
        scores = dict(evaluate(function, shown, upscaler.scale, protocol, niqe_model))
        return Score(data=name, title=title, images=scores, mean=mean(scores.items()))

    return map(score, data, shorten_names(data), sets)
