"""The whole way in minutes: from photos to a trained, collapsed INT8 network with its latency, and a page.

`run` trains SESR-M3 ×2 in its hardware form (ReLU, no input residual: what a small NPU runs) on the photos
that scikit-image ships, and compares every stage with bicubic interpolation on other photos.
"""

import pathlib
from collections.abc import Callable
from typing import Any

import ml_collections
import numpy as np

from sesr_jax import train
from sesr_jax.data import open_embedded, write_image
from sesr_jax.export import export_network, prove_collapse
from sesr_jax.files import write_file
from sesr_jax.metrics import Y, evaluate, mean
from sesr_jax.npu import Report, estimate, layers_from_graph
from sesr_jax.report import (
    Comparison,
    Page,
    Paragraph,
    Plot,
    Section,
    Table,
    format_table,
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
_BROWSER = (
    "To upscale photos of your own in a browser, with this network and on your machine: "
    "sesr export --model {} --web browser --serve"
)


def make_config() -> ml_collections.ConfigDict:
    """Returns the config of SESR-M3 ×2 on small crops, with a falling learning rate: minutes on two cores."""
    config = train.base()
    config.model.update(name="sesr_m3_hw", scale=2)
    config.data.update(patch=32, batch=16)
    config.optim.update(name="adam", lr=1e-3, schedule="cosine")
    config.ema = 0.99
    config.update(steps=4000, steps_per_call=50, eval_every=500, checkpoint_every=500)
    return config


def run(
    folder: pathlib.Path, config: ml_collections.ConfigDict, say: Callable[[str], None] = print
) -> None:
    """Runs all stages in `folder` and writes ``index.html``; a second call prints the results again.

    Args:
      folder: gets the training run, the exported file, the images and the page.
      config: the training's config.
      say: called with each stage's result as text.

    Raises:
      InputError: as the stages do.
    """
    results = folder / "results.txt"
    if results.exists():
        say(results.read_text(encoding="utf-8"))
        say(f"done already: see {folder / 'index.html'}; remove {folder} to start again")
        return
    texts: list[str] = []

    def report_text(text: str) -> None:
        texts.append(text)
        say(text)

    network = train.train(config, folder / "train")
    scale = network.scale
    report_text(
        f"{network.name} ×{scale} trained for {config.steps} steps on {config.data.train}\n"
    )

    difference = prove_collapse(network).difference or 0.0
    report_text(
        f"largest difference between the expanded and the collapsed network: {difference:.1e}\n"
    )

    exported = folder / f"{network.name}_x{scale}_int8.tflite"
    export_network(network, exported, size=_TILE, calibration=open_embedded("train"))
    upscalers = {
        "bicubic": bicubic_upscaler(scale),
        "float": from_network(network),
        "INT8 (.tflite)": from_tflite(exported),
    }
    header, rows = measure_quality(upscalers)
    report_text(
        f"PSNR in dB / SSIM on photos that were not trained on\n{format_table(rows, header)}\n"
    )

    report = estimate(layers_from_graph(network.trace((1, *_FRAME, 1))), find_target(_TARGET))
    report_text(f"{_FRAME[1]}×{_FRAME[0]} pixels on {_TARGET}\n{report.to_text()}")

    comparisons = _compare_images(upscalers, folder)
    write_page(
        _make_page(folder, difference, (header, rows), report, comparisons), folder / "index.html"
    )
    report_text(f"page: {folder / 'index.html'}\nmodel: {exported}")
    write_file(results, "\n".join(texts))


def measure_quality(upscalers: dict[str, Upscaler]) -> tuple[list[str], list[list[str]]]:
    """Returns a table of PSNR and SSIM on the held-out photos, by protocol Y, with one row per upscaler."""
    rows: list[list[str]] = []
    header: list[str] = []
    for name, upscaler in upscalers.items():
        scores = list(evaluate(in_domain(upscaler, "y"), open_embedded("eval"), upscaler.scale, Y))
        scores.append(("mean", mean(scores)))
        header = ["", *(photo for photo, _ in scores)]
        rows.append([name, *(f"{s['psnr']:.2f}/{s['ssim']:.4f}" for _, s in scores)])
    return header, rows


def _compare_images(upscalers: dict[str, Upscaler], folder: pathlib.Path) -> list[Comparison]:
    """Upscales the low resolution of each held-out photo by bicubic interpolation and by the INT8 file.

    Writes the images of the latter, and ``comparison.png``: the middle of one photo, bicubic on the left.
    """
    comparisons, rows = [], []
    scale = upscalers["float"].scale
    for photo in open_embedded("eval"):
        low = photo.get_low_resolution(scale)
        large = [upscale_photo(upscalers[name], low) for name in ("bicubic", "INT8 (.tflite)")]
        write_image(folder / f"{photo.name}_x{scale}.png", large[1])
        before, after = map(_magnify_middle, large)
        caption = f"{photo.name}, ×{scale}, its middle magnified"
        comparisons.append(Comparison(before, after, ("bicubic", "INT8"), caption))
        rows.append(np.concatenate([before, np.full_like(before[:, :12], 255), after], axis=1))
    write_image(folder / "comparison.png", rows[1])  # the cat: fur shows most
    return comparisons


def _magnify_middle(image: np.ndarray, side: int = 160, factor: int = 4) -> np.ndarray:
    """Returns the square in the middle of an image, with its pixels magnified so that they can be seen."""
    top, left = ((n - side) // 2 for n in image.shape[:2])
    middle = image[top : top + side, left : left + side]
    return middle.repeat(factor, axis=0).repeat(factor, axis=1)


def _make_page(
    folder: pathlib.Path,
    difference: float,
    scores: tuple[list[str], list[list[str]]],
    report: Report,
    comparisons: list[Comparison],
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
            Section(
                "Before and after", [*comparisons, Paragraph(_BROWSER.format(folder / "train"))]
            ),
            Section(
                "Quality",
                [
                    Table(
                        *scores,
                        caption="PSNR in dB / SSIM on Y, on photos that were not trained on.",
                    ),
                    Paragraph(
                        "The network trained as a large linear expression and runs as one small convolution "
                        f"per layer; the two differ by at most {difference:.1e}."
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
                        f"{report.seconds * 1e3:.1f} ms, {report.fps:.0f} frames per second."
                    ),
                    Table(["pass", "GMAC", "DRAM MB", "bound by", "ms"], passes),
                ],
            ),
        ],
        lead="SESR-M3 ×2 trained on eight photos, collapsed and quantised to INT8, and its latency.",
    )
