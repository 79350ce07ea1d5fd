"""A page about the quality of models: tables, PSNR against work, and where each wins and loses most.

    write(quality_page([Measured(title="m5", upscaler=m5, scores=tuple(measure(m5, sets)))], Y), "m5.html")

A model's rival is the first one of its scale on the page, and the first one's is bicubic interpolation.
"""

import dataclasses
import math
from collections.abc import Iterator, Sequence

import numpy as np

from sesr_jax import report
from sesr_jax.compare.sets import Score, measure
from sesr_jax.data import source
from sesr_jax.metrics import Protocol, Y
from sesr_jax.models.published import OUTPUT, rivals
from sesr_jax.upscale import Upscaler, bicubic, in_domain

_SIDE, _GAP = 76, 6  # of a crop, in pixels; three of them, magnified, are as wide as the page
_MAGNIFIED = 3
_ERRORS = 8  # how much the errors are enlarged

_NEARER, _FARTHER = np.array([86, 180, 233]) / 255, np.array([230, 159, 0]) / 255


@dataclasses.dataclass(frozen=True, kw_only=True)
class Measured:
    """An upscaler and its scores.

    Attributes:
      title: what it is called.
      upscaler: the function.
      scores: on each set of images.
    """

    title: str
    upscaler: Upscaler
    scores: tuple[Score, ...]

    @property
    def macs(self) -> float | None:
        """Multiply-accumulates for an output of 1280×720; None where nobody counts them."""
        macs, scale = self.upscaler.macs, self.upscaler.scale
        return None if macs is None else macs * math.prod(OUTPUT) / scale**2

    @property
    def cells(self) -> list[str]:
        """The row of a table under `header`."""
        macs = "–" if self.macs is None else f"{self.macs / 1e9:.3f} G"
        return [self.title, f"×{self.upscaler.scale}", macs, *map(str, self.scores)]


def header(measured: Sequence[Measured]) -> list[str]:
    """The names of the columns of `Measured.cells`."""
    return ["model", "scale", "MACs", *(score.title for score in measured[0].scores)]


def quality_page(measured: Sequence[Measured], protocol: Protocol) -> report.Page:
    """The page; the pictures that it shows are computed anew.

    Args:
      measured: models on the same sets.
      protocol: by which they were measured.

    Raises:
      InputError: as `measure`.
    """
    table = report.Table(
        header(measured),
        [one.cells for one in measured],
        "PSNR in dB / SSIM; MACs for an output of 1280×720.",
    )
    sections = [report.Section("Quality", [table])]
    if plots := list(_plots(measured, protocol)):
        sections.append(report.Section("Quality and work", plots))
    for one, other in _pairs(measured, protocol):
        sections.append(_section(one, other, protocol))
    names = ", ".join(one.title for one in measured)
    lead = f"Measured by the protocol {protocol.name}."
    return report.Page(f"Quality of {names}", sections, lead=lead)


def _plots(measured: Sequence[Measured], protocol: Protocol) -> Iterator[report.Scatter]:
    """PSNR over MACs on each set at each scale, beside what papers print."""
    for scale in dict.fromkeys(one.upscaler.scale for one in measured):
        ours = [one for one in measured if one.upscaler.scale == scale and one.macs]
        for i, score in enumerate(measured[0].scores if ours else ()):
            printed = {
                rival.model: (rival.macs / 1e9, rival.quality[score.title][0])
                for rival in rivals(scale).values()
                if protocol == Y and rival.macs and score.title in rival.quality
            }
            yield report.Scatter(
                {
                    one.title: (one.macs / 1e9, one.scores[i].mean["psnr"])
                    for one in ours
                    if one.macs
                },
                {},
                x="10⁹ MACs for 1280×720",
                y="PSNR, dB",
                caption=f"{score.title} ×{scale}: measured"
                + ("; hollow: as papers print it, not measured here." if printed else "."),
                logarithmic="x",
                others=printed,
            )


def _pairs(measured: Sequence[Measured], protocol: Protocol) -> Iterator[tuple[Measured, Measured]]:
    """Each model and its rival."""
    firsts: dict[int, Measured] = {}
    for one in measured:
        scale = one.upscaler.scale
        if scale in firsts:
            yield one, firsts[scale]
            continue
        firsts[scale] = one
        if one.upscaler.name != "bicubic":
            data = [score.data for score in one.scores]
            scores = tuple(measure(bicubic(scale), data, protocol))
            yield one, Measured(title="bicubic", upscaler=bicubic(scale), scores=scores)


def _section(one: Measured, other: Measured, protocol: Protocol) -> report.Section:
    """How `one` fares against `other`, picture by picture."""
    gains = {
        score.title: {
            name: gain
            for name, values in score.pictures.items()
            if math.isfinite(gain := values["psnr"] - rival.pictures[name]["psnr"])
        }
        for score, rival in zip(one.scores, other.scores, strict=True)
    }
    ranked = sorted(
        (gain, score.data, name)
        for score in one.scores
        for name, gain in gains[score.title].items()
    )
    if not ranked:
        return report.Section(
            f"{one.title} against {other.title}",
            [report.Paragraph("No picture tells them apart: all are exact copies.")],
        )
    blocks: list[report.Block] = [
        report.Dots(
            {title: list(values.values()) for title, values in gains.items() if values},
            x=f"PSNR above that of {other.title}, in dB",
            caption="One dot a picture, a bar at the mean.",
        )
    ]
    for place, word in ((-1, "gains most"), (0, "gains least")):
        gain, data, name = ranked[place]
        word = "loses most" if gain < 0 and place == 0 else word
        caption = f"{one.title} {word}, {gain:+.2f} dB, on {name}"
        blocks += _crops(one, other, data, name, protocol, caption)
        if len(ranked) == 1:
            break
    return report.Section(f"{one.title} against {other.title}", blocks)


def _crops(
    one: Measured, other: Measured, data: str, name: str, protocol: Protocol, caption: str
) -> list[report.Block]:
    """Where the one that wins the picture `name` wins most: crops of all, and maps of the errors."""
    pictures = source(data, one.upscaler.scale)
    (i,) = (i for i in range(len(pictures)) if pictures.name(i) == name)
    low, reference = protocol.pair(pictures[i], one.upscaler.scale)
    images = [reference] + [
        np.clip(in_domain(m.upscaler, protocol.domain)(low), 0, 1) for m in (other, one)
    ]
    _, before, after = (np.abs(image - reference).mean(axis=-1) for image in images)
    gain = np.square(before) - np.square(after)
    window = _window(gain if gain.sum() >= 0 else -gain)
    original, *outputs = (_codes(image[window]) for image in images)
    nearer = (before - after)[window][..., None]
    who = np.where(nearer > 0, _NEARER, _FARTHER) * np.minimum(np.abs(nearer) * _ERRORS, 1)
    maps = [np.minimum(errors[window] * _ERRORS, 1) for errors in (before, after)]
    shown = [original, *outputs, *(np.rint(255 * m).astype(np.uint8) for m in (who, *maps))]
    top, bottom = (_beside(shown[i : i + 3]) for i in (0, 3))
    tiles = np.concatenate([top, np.full_like(top[:_GAP], 255), bottom])
    legend = (
        f"{caption}. Top: the original, {other.title}, {one.title}. Below: where {one.title} (blue) or "
        f"{other.title} (orange) is nearer to the original, and the errors of both, times {_ERRORS}."
    )
    names = (other.title, one.title)
    large = [_magnified(image, 3 * _MAGNIFIED) for image in outputs]
    return [report.Picture(tiles, legend), report.Compare(large[0], large[1], names, caption)]


def _window(gain: np.ndarray) -> tuple[slice, slice]:
    """The square of `_SIDE` pixels, or all there is, over which `gain` ``[H, W]`` sums to the most."""
    height, width = (min(_SIDE, n) for n in gain.shape)
    sums = np.pad(gain.cumsum(axis=0).cumsum(axis=1), ((1, 0), (1, 0)))
    totals = (
        sums[height:, width:] - sums[:-height, width:] - sums[height:, :-width]
        + sums[:-height, :-width]
    )  # fmt: skip
    top, left = map(int, np.unravel_index(totals.argmax(), totals.shape))
    return slice(top, top + height), slice(left, left + width)


def _codes(image: np.ndarray) -> np.ndarray:
    """uint8 ``[H, W]`` of luma ``[H, W, 1]`` in studio range, or ``[H, W, 3]`` of RGB."""
    if image.shape[-1] == 1:
        image = (image[..., 0] * 255 - 16) / 219
    return np.rint(255 * np.clip(image, 0, 1)).astype(np.uint8)


def _beside(images: Sequence[np.ndarray]) -> np.ndarray:
    """Images of one size side by side in RGB, magnified."""
    colour = [
        image if image.ndim == 3 else np.repeat(image[..., None], 3, axis=-1) for image in images
    ]
    large = [_magnified(image, _MAGNIFIED) for image in colour]
    gap = np.full_like(large[0][:, :_GAP], 255)
    return np.concatenate([large[0], gap, large[1], gap, large[2]], axis=1)


def _magnified(image: np.ndarray, factor: int) -> np.ndarray:
    return image.repeat(factor, axis=0).repeat(factor, axis=1)
