"""A page about the quality of models: tables, PSNR over work, and where each gains and loses most.

    scores = tuple(measure(m5, sets))
    write_page(make_quality_page([Measurement(title="m5", upscaler=m5, scores=scores)], Y), "m5.html")

A model's rival is the first one of its scale on the page, and the first one's is bicubic interpolation.
"""

import dataclasses
import math
from collections.abc import Iterator, Sequence

import numpy as np

from sesr_jax import report
from sesr_jax.compare.sets import Score, measure, name_scores, shorten_names
from sesr_jax.data import open_source
from sesr_jax.metrics import NiqeModel, Protocol, Y
from sesr_jax.models.figures import list_figures
from sesr_jax.models.published import OUTPUT
from sesr_jax.upscale import Upscaler, bicubic_upscaler, in_domain

_SIDE, _GAP = 76, 6  # of a crop in pixels; three crops, magnified, are as wide as the page
_MAGNIFIED = 3
_ERRORS = 8  # how much the errors are enlarged

_NEARER, _FARTHER = np.array([86, 180, 233]) / 255, np.array([230, 159, 0]) / 255


@dataclasses.dataclass(frozen=True, kw_only=True)
class Measurement:
    """An upscaler and its scores.

    Attributes:
      title: its name on the page.
      upscaler: what was measured.
      scores: one per set of images.
    """

    title: str
    upscaler: Upscaler
    scores: tuple[Score, ...]

    @property
    def macs(self) -> float | None:
        """Multiply-accumulates for an output of 1280×720; None where they are not counted."""
        macs, scale = self.upscaler.macs, self.upscaler.scale
        return None if macs is None else macs * math.prod(OUTPUT) / scale**2

    @property
    def cells(self) -> list[str]:
        """The row of a table under `list_columns`."""
        macs = "–" if self.macs is None else f"{self.macs / 1e9:.3f} G"
        return [self.title, f"×{self.upscaler.scale}", macs, *map(str, self.scores)]


def measure_all(
    upscalers: Sequence[Upscaler],
    names: Sequence[str],
    data: Sequence[str],
    protocol: Protocol,
    niqe_model: NiqeModel | None = None,
) -> list[Measurement]:
    """Measures each upscaler on each set, after all sets have been found.

    Args:
      upscalers: the upscalers to measure.
      names: what each was loaded from, which gives it a title as of `shorten_names`.
      data: folders of images, or "embedded:eval".
      protocol: how to measure.
      niqe_model: see `measure`.

    Raises:
      InputError: as `measure`.
    """
    scores = [measure(upscaler, data, protocol, niqe_model) for upscaler in upscalers]
    return [
        Measurement(title=title, upscaler=upscaler, scores=tuple(of_it))
        for title, upscaler, of_it in zip(shorten_names(names), upscalers, scores, strict=True)
    ]


def list_columns(measured: Sequence[Measurement]) -> list[str]:
    """Returns the names of the columns of `Measurement.cells`."""
    return ["model", "scale", "MACs", *(score.title for score in measured[0].scores)]


def make_quality_page(measured: Sequence[Measurement], protocol: Protocol) -> report.Page:
    """Returns the page; the images that it shows are computed again.

    Args:
      measured: models on the same sets.
      protocol: by which they were measured.

    Raises:
      InputError: as `measure`.
    """
    table = report.Table(
        list_columns(measured),
        [one.cells for one in measured],
        f"{name_scores(measured[0].scores[0])}; MACs for an output of 1280×720.",
    )
    sections = [report.Section("Quality", [table])]
    if plots := list(_make_plots(measured, protocol)):
        sections.append(report.Section("Quality and work", plots))
    for one, other in _pair_rivals(measured, protocol):
        sections.append(_make_section(one, other, protocol))
    names = ", ".join(one.title for one in measured)
    lead = f"Measured by the protocol {protocol.name}."
    return report.Page(f"Quality of {names}", sections, lead=lead)


def _make_plots(measured: Sequence[Measurement], protocol: Protocol) -> Iterator[report.Scatter]:
    """Yields PSNR over MACs for each set and scale factor, beside published figures."""
    for scale in dict.fromkeys(one.upscaler.scale for one in measured):
        ours = [one for one in measured if one.upscaler.scale == scale and one.macs]
        for i, score in enumerate(measured[0].scores if ours else ()):
            printed = {
                rival.model: (rival.macs / 1e9, rival.quality[score.title][0])
                for rival in list_figures(scale).values()
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
                + ("; hollow: published figures, not measured here." if printed else "."),
                logarithmic="x",
                others=printed,
            )


def _pair_rivals(
    measured: Sequence[Measurement], protocol: Protocol
) -> Iterator[tuple[Measurement, Measurement]]:
    """Yields each model and its rival."""
    firsts: dict[int, Measurement] = {}
    for one in measured:
        scale = one.upscaler.scale
        if scale in firsts:
            yield one, firsts[scale]
            continue
        firsts[scale] = one
        if one.upscaler.name != "bicubic":
            data = [score.data for score in one.scores]
            scores = tuple(measure(bicubic_upscaler(scale), data, protocol))
            yield one, Measurement(title="bicubic", upscaler=bicubic_upscaler(scale), scores=scores)


def _make_section(one: Measurement, other: Measurement, protocol: Protocol) -> report.Section:
    """Returns how `one` compares with `other`, image by image."""
    gains = {
        score.title: {
            name: gain
            for name, values in score.images.items()
            if math.isfinite(gain := values["psnr"] - rival.images[name]["psnr"])
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
            [report.Paragraph("They differ on no image: all outputs equal the reference.")],
        )
    blocks: list[report.Block] = [
        report.Dots(
            {title: list(values.values()) for title, values in gains.items() if values},
            x=f"PSNR above that of {other.title}, in dB",
            caption="One dot per image, and a bar at the mean.",
        )
    ]
    for place in (-1, 0):
        gain, data, name = ranked[place]
        word = _describe(gain, best=place == -1)
        caption = f"{one.title} {word}, {gain:+.2f} dB, on {name}"
        blocks += _make_crops(one, other, data, name, protocol, caption)
        if len(ranked) == 1:
            break
    return report.Section(f"{one.title} against {other.title}", blocks)


def _describe(gain: float, *, best: bool) -> str:
    """Returns what the largest (`best`) or the smallest gain is called; a negative one is a loss."""
    if round(gain, 2) == 0:
        return "gains nothing"
    if gain < 0:
        return "loses least" if best else "loses most"
    return "gains most" if best else "gains least"


def _make_crops(
    one: Measurement, other: Measurement, data: str, name: str, protocol: Protocol, caption: str
) -> list[report.Block]:
    """Returns crops of the image `name` where its winner wins most, and maps of the errors."""
    images = open_source(data, one.upscaler.scale)
    (i,) = (i for i in range(len(images)) if images.get_name(i) == name)
    low, reference = protocol.pair(images[i], one.upscaler.scale)
    compared = [reference / 255] + [
        np.clip(in_domain(m.upscaler, protocol.domain)(low), 0, 1) for m in (other, one)
    ]
    _, before, after = (np.abs(image - compared[0]).mean(axis=-1) for image in compared)
    gain = np.square(before) - np.square(after)
    window = _best_crop(gain if gain.sum() >= 0 else -gain)
    original, *outputs = (_to_uint8(image[window]) for image in compared)
    nearer = (before - after)[window][..., None]
    who = np.where(nearer > 0, _NEARER, _FARTHER) * np.minimum(np.abs(nearer) * _ERRORS, 1)
    maps = [np.minimum(errors[window] * _ERRORS, 1) for errors in (before, after)]
    shown = [original, *outputs, *(np.rint(255 * m).astype(np.uint8) for m in (who, *maps))]
    top, bottom = (_place_side_by_side(shown[i : i + 3]) for i in (0, 3))
    tiles = np.concatenate([top, np.full_like(top[:_GAP], 255), bottom])
    legend = (
        f"{caption}. Top: the reference, {other.title}, {one.title}. Below: where {one.title} (blue) or "
        f"{other.title} (orange) is nearer to the reference, and the errors of both, times {_ERRORS}."
    )
    names = (other.title, one.title)
    large = [_magnify(image, 3 * _MAGNIFIED) for image in outputs]
    return [report.Image(tiles, legend), report.Comparison(large[0], large[1], names, caption)]


def _best_crop(gain: np.ndarray) -> tuple[slice, slice]:
    """Returns the square of `_SIDE` pixels over which `gain` ``[H, W]`` has the largest sum."""
    height, width = (min(_SIDE, n) for n in gain.shape)
    sums = np.pad(gain.cumsum(axis=0).cumsum(axis=1), ((1, 0), (1, 0)))
    totals = (
        sums[height:, width:] - sums[:-height, width:] - sums[height:, :-width]
        + sums[:-height, :-width]
    )  # fmt: skip
    top, left = map(int, np.unravel_index(totals.argmax(), totals.shape))
    return slice(top, top + height), slice(left, left + width)


def _to_uint8(image: np.ndarray) -> np.ndarray:
    """Returns uint8 ``[H, W]`` for luma ``[H, W, 1]`` in studio range, or ``[H, W, 3]`` for RGB."""
    if image.shape[-1] == 1:
        image = (image[..., 0] * 255 - 16) / 219
    return np.rint(255 * np.clip(image, 0, 1)).astype(np.uint8)


def _place_side_by_side(images: Sequence[np.ndarray]) -> np.ndarray:
    """Returns three images of one size in one, side by side in RGB and magnified."""
    colour = [
        image if image.ndim == 3 else np.repeat(image[..., None], 3, axis=-1) for image in images
    ]
    large = [_magnify(image, _MAGNIFIED) for image in colour]
    gap = np.full_like(large[0][:, :_GAP], 255)
    return np.concatenate([large[0], gap, large[1], gap, large[2]], axis=1)


def _magnify(image: np.ndarray, factor: int) -> np.ndarray:
    return image.repeat(factor, axis=0).repeat(factor, axis=1)
