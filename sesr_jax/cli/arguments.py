"""What the verbs' argument parsers share."""

import argparse
import inspect
import math
import re
import shutil
import textwrap
from typing import Any

CONFIG = (
    "a recipe (see sesr recipes) or a config file; a variant follows a colon, as in sesr_m5_x2:cpu"
)

MODEL = (
    "a shipped model, a run's folder, a .safetensors, .tflite or .onnx file, official weights (.pth, "
    ".bin), or bicubic_x2 (or _x3, _x4)"
)

RANGE = (
    "the value of white in the float images of a .tflite or .onnx file from elsewhere: 1, the default, or "
    "255"
)

NIQE = "the parameters of NIQE, niqe_pris_params.npz of BasicSR"

TARGET = "ethos-n78-4tops"
"""The NPU that is taken where none is named."""


def make_parser(verb: str, description: str, example: str) -> argparse.ArgumentParser:
    """Returns a parser whose help ends with `example`."""
    return argparse.ArgumentParser(
        prog=f"sesr {verb}",
        description=textwrap.fill(description, shutil.get_terminal_size().columns - 2),
        epilog=f"example:\n{example}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )


def allow_large_images() -> None:
    """Lifts Pillow's bound on the pixels of an image; ours is the machine's memory, which is checked."""
    from PIL import Image

    Image.MAX_IMAGE_PIXELS = None


def read_attributes(kind: type) -> dict[str, str]:
    """Returns what the docstring of a class says of each attribute, for the help of its options."""
    section = (inspect.getdoc(kind) or "").partition("\nAttributes:\n")[2].partition("\n\n")[0]
    found = re.findall(r"^  (\w+): (.*(?:\n    .*)*)", section, re.MULTILINE)
    return {name: " ".join(text.split()).rstrip(".").replace("%", "%%") for name, text in found}


def parse_size(text: str) -> tuple[int, int]:
    """Returns (height, width) for "640x360", which is width x height as screens are named."""
    if not (match := re.fullmatch(r"([1-9]\d*)[x×]([1-9]\d*)", text)):
        raise argparse.ArgumentTypeError(
            f"{text!r} is not a size; write width x height, such as 640x360"
        )
    return int(match[2]), int(match[1])


def parse_finite(text: str) -> float:
    """Returns a number, which is neither nan nor inf."""
    try:
        if math.isfinite(number := float(text)):
            return number
    except ValueError:
        pass
    raise argparse.ArgumentTypeError(f"{text!r} is no finite number; write one, such as 0.2")


def parse_share(text: str) -> float:
    """Returns a share in [0, 1)."""
    if not 0 <= (number := parse_finite(text)) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} must lie in [0, 1); write such as 0.5")
    return number


def parse_tile(text: str) -> str | tuple[int, int]:
    """Returns (height, width) for a tile "400x300" or for the side of a square, or the word "auto"."""
    if text == "auto":
        return text
    return (int(text), int(text)) if text.isdigit() and int(text) else parse_size(text)


COUNTS = ("parameters", "FLOPs", "activations", "convolutions")
"""What the challenges on efficient super-resolution count."""

COUNTS_TITLE = (
    "for an input of 256×256; FLOPs are MACs and one per element of a ReLU, LeakyReLU or PReLU"
)


def format_counts(cost: Any) -> dict[str, str]:
    """Returns a `graph.Cost` as these challenges print it, by the words of `COUNTS`."""
    cells = (f"{cost.parameters:,}", f"{cost.flops / 1e9:.3f} G", f"{cost.activations / 1e6:.3f} M")
    return dict(zip(COUNTS, (*cells, f"{cost.convolutions}"), strict=True))
