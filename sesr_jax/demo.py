"""The whole way in minutes: photos to a trained, collapsed, INT8, latency-rated network and a picture.

`run` trains SESR-M3 ×2 in its hardware form (ReLU, no input residual: what a small NPU runs) on the photos
that scikit-image ships, and holds every stage against bicubic interpolation on photos it never saw.
"""

import pathlib
from collections.abc import Callable
from typing import Any

import ml_collections
import numpy as np

from sesr_jax import train
from sesr_jax.data import embedded, write_image
from sesr_jax.export import export_network, prove_collapse
from sesr_jax.files import replace_file
from sesr_jax.metrics import Y, evaluate, mean
from sesr_jax.npu import Report, estimate, layers_from_graph
from sesr_jax.report import (
    Comparison,
    Page,
    Paragraph,
    Plot,
    Section,
    Table,
    text_table,
    write_page,
)
from sesr_jax.targets import find_target
from sesr_jax.upscale import (
    Upscaler,
    bicubic_upscaler,
    from_network,
    from_tflite,
    in_domain,
    upscale_photo,
)

_TARGET = "ethos-n78-4tops"
_FRAME = (1080, 1920)
_TILE = (128, 128)


def config() -> ml_collections.ConfigDict:
    """SESR-M3 ×2 on small crops, with a falling rate: a few minutes on two cores."""
    made = train.base()
    made.model.update(name="sesr_m3_hw", scale=2)
    made.data.update(patch=32, batch=16)
    made.optim.update(name="adam", lr=1e-3, schedule="cosine")
    made.ema = 0.99
    made.update(steps=4000, steps_per_call=50, eval_every=500, checkpoint_every=500)
    return made


def run(
    folder: pathlib.Path, made: ml_collections.ConfigDict, say: Callable[[str], None] = print
) -> None:
    """Does all the stages in `folder` and writes ``index.html``; a second call says that it is done.

    Args:
      folder: gets the training run, the exported file, the pictures and the page.
      made: the training's config.
      say: hears each stage's result as text.

    Raises:
      InputError: as the stages do.
    """
    results = folder / "results.txt"
    if results.exists():
        say(results.read_text(encoding="utf-8"))
        say(f"done already: see {folder / 'index.html'}; remove {folder} to start again")
        return
    told: list[str] = []

    def tell(text: str) -> None:
        told.append(text)
        say(text)

    network = train.train(made, folder / "train")
    scale = network.scale
    tell(f"{network.name} ×{scale} trained for {made.steps} steps on {made.data.train}\n")

    difference = prove_collapse(network).difference or 0.0
    tell(f"largest difference between the expanded and the collapsed network: {difference:.1e}\n")

    exported = folder / f"{network.name}_x{scale}_int8.tflite"
    export_network(network, exported, size=_TILE, calibration=embedded("train"))
    upscalers = {
        "bicubic": bicubic_upscaler(scale),
        "float": from_network(network),
        "INT8 (.tflite)": from_tflite(exported),
    }
    header, rows = quality(upscalers)
    tell(f"PSNR in dB / SSIM on photos that were not trained on\n{text_table(rows, header)}\n")

    report = estimate(layers_from_graph(network.graph((1, *_FRAME, 1))), find_target(_TARGET))
    tell(f"{_FRAME[1]}×{_FRAME[0]} pixels on {_TARGET}\n{report.to_text()}")

    pictures = _pictures(upscalers, folder)
    write_page(_page(folder, difference, (header, rows), report, pictures), folder / "index.html")
    tell(f"page: {folder / 'index.html'}\nmodel: {exported}")
    with replace_file(results) as temporary:
        temporary.write_text("\n".join(told), encoding="utf-8")


def quality(upscalers: dict[str, Upscaler]) -> tuple[list[str], list[list[str]]]:
    """A table of PSNR and SSIM on the held-out photos, protocol Y, a row for each upscaler."""
    rows: list[list[str]] = []
    header: list[str] = []
    for name, upscaler in upscalers.items():
        scores = list(evaluate(in_domain(upscaler, "y"), embedded("eval"), upscaler.scale, Y))
        scores.append(("mean", mean(scores)))
        header = ["", *(picture for picture, _ in scores)]
        rows.append([name, *(f"{s['psnr']:.2f}/{s['ssim']:.4f}" for _, s in scores)])
    return header, rows


def _pictures(upscalers: dict[str, Upscaler], folder: pathlib.Path) -> list[Comparison]:
    """Each held-out photo from its low resolution, by bicubic and by the INT8 file.

    Writes the latter's pictures, and ``comparison.png``: the middle of one, bicubic on the left.
    """
    comparisons, rows = [], []
    scale = upscalers["float"].scale
    for picture in embedded("eval"):
        low = picture.low_resolution(scale)
        large = [upscale_photo(upscalers[name], low) for name in ("bicubic", "INT8 (.tflite)")]
        write_image(folder / f"{picture.name}_x{scale}.png", large[1])
        before, after = map(_magnified_middle, large)
        caption = f"{picture.name}, ×{scale}, its middle magnified"
        comparisons.append(Comparison(before, after, ("bicubic", "INT8"), caption))
        rows.append(np.concatenate([before, np.full_like(before[:, :12], 255), after], axis=1))
    write_image(folder / "comparison.png", rows[1])  # the cat: fur shows most
    return comparisons


def _magnified_middle(image: np.ndarray, side: int = 160, factor: int = 4) -> np.ndarray:
    """The square in the middle of an image with its pixels enlarged, so that they can be seen."""
    top, left = ((n - side) // 2 for n in image.shape[:2])
    middle = image[top : top + side, left : left + side]
    return middle.repeat(factor, axis=0).repeat(factor, axis=1)


def _page(
    folder: pathlib.Path,
    difference: float,
    scores: tuple[list[str], list[list[str]]],
    report: Report,
    pictures: list[Comparison],
) -> Page:
    lines: list[dict[str, Any]] = list(train.read_log(folder / "train"))
    curves = {
        key: (
            [line["step"] for line in lines if key in line],
            [line[key] for line in lines if key in line],
        )
        for key in ("psnr", "loss")
    }
    passes = [
        [row.name, f"{row.macs / 1e9:.2f}", f"{row.dram_bytes / 1e6:.1f}", row.bound,
         f"{row.cycles / report.target.clock_hz * 1e3:.2f}"]
        for row in report.rows
    ]  # fmt: skip
    total = ["total", f"{report.macs / 1e9:.2f}", f"{report.dram_bytes / 1e6:.1f}", ""]
    passes.append([*total, f"{report.seconds * 1e3:.2f}"])
    return Page(
        "From photos to a small NPU",
        [
            Section("Before and after", pictures),
            Section(
                "Quality",
                [
                    Table(
                        *scores,
                        caption="PSNR in dB / SSIM on Y, on photos that were not trained on.",
                    ),
                    Paragraph(
                        "The network trained as a large linear expression and runs as one small convolution "
                        f"a layer; the two differ by at most {difference:.1e}."
                    ),
                ],
            ),
            Section(
                "Training",
                [
                    Plot(
                        {"PSNR": curves["psnr"]},
                        x="step",
                        y="PSNR in dB",
                        caption="On held-out photos.",
                    ),
                    Plot({"loss": curves["loss"]}, x="step", y="mean absolute error"),
                ],
            ),
            Section(
                "Latency",
                [
                    Paragraph(
                        f"Estimated for {_FRAME[1]}×{_FRAME[0]} pixels in on {report.target.name}: "
                        f"{report.seconds * 1e3:.1f} ms, {report.fps:.0f} frames a second."
                    ),
                    Table(["pass", "GMAC", "DRAM MB", "bound by", "ms"], passes),
                ],
            ),
        ],
        lead="SESR-M3 ×2 trained on eight photos, collapsed, quantised to INT8 and rated.",
    )
