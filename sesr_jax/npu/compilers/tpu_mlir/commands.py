"""The commands of tpu-mlir that compile an .onnx file for a Sophgo chip.

    for command in list_commands("m5.onnx", find_target("bm1684x-int8"), size=(300, 400)):
        print(shlex.join(command))

tpu-mlir computes ``(x - mean) · scale`` of the pixels 0 to 255 of an image file before a network sees it. Our
networks take values from 0 to 1, so that the scale is 1/255.
"""

import os
import pathlib
import shlex
from collections.abc import Sequence
from typing import Literal, get_args

from sesr_jax.errors import InputError
from sesr_jax.targets import Target

Precision = Literal["int8", "float16", "float32"]
"""What a compiled file computes with."""

_PRECISIONS: dict[str, Precision] = {"INT8": "int8", "F16": "float16", "F32": "float32"}
"""Precisions by tpu-mlir's words for them."""

Method = Literal["kl", "max", "mse", "percentile9999"]
"""How tpu-mlir finds the largest magnitude of a tensor that its codes hold."""

METHODS: tuple[Method, ...] = get_args(Method)
_PIXEL_FORMATS = {1: "gray", 3: "rgb"}


def find_precision(target: Target) -> Precision:
    """Returns the precision of `target`.

    Raises:
      InputError: tpu-mlir is not the target's compiler, or its file has not all options of tpu-mlir.
    """
    options = target.compiler or {}
    if options.get("name") != "tpu-mlir":
        raise InputError(f"tpu-mlir does not compile for {target.name}; choose bm1684x-int8.")
    for name in ("processor", "quantize"):
        if name not in options:
            raise InputError(
                f"{target.name}: [compiler] has no {name}, which tpu-mlir wants; see bm1684x-int8.toml."
            )
    word = options["quantize"]
    if word not in _PRECISIONS:
        raise InputError(
            f"{target.name}: compiler.quantize is {word!r}; it must be one of {', '.join(_PRECISIONS)}."
        )
    return _PRECISIONS[word]


def list_commands(
    onnx: str | os.PathLike[str],
    target: Target,
    *,
    size: tuple[int, int],
    channels: int = 1,
    asymmetric: bool = False,
    calibration: str = "calibration",
    calibration_size: tuple[int, int] | None = None,
    images: int = 32,
    method: Method = "kl",
    table: str | None = None,
) -> tuple[tuple[str, ...], ...]:
    """Returns the commands that compile `onnx`, to be run in one folder.

    Args:
      onnx: a float .onnx file, which is not read here.
      target: its table ``compiler`` holds tpu-mlir's processor and quantisation.
      size: height and width of the input.
      channels: the channels of the input, 1 or 3.
      asymmetric: whether the codes of INT8 activations have zero points.
      calibration: a folder of images; INT8 without a `table` needs it.
      calibration_size: height and width of these images, by default those of the input.
      images: how many of them are used.
      method: how the compiler finds ranges on them.
      table: a calibration table, with which nothing is calibrated here.

    Raises:
      InputError: as `find_precision`; the file is no .onnx file, it has channels that no image has, or what
        is no INT8 is to be asymmetric.
    """
    precision = find_precision(target)
    options = target.compiler or {}
    path = pathlib.Path(onnx)
    if path.suffix != ".onnx":
        raise InputError(f"{path} is no .onnx file; write one with `sesr export --out x.onnx`.")
    if channels not in _PIXEL_FORMATS:
        raise InputError(f"{path} has {channels} channels: images have 1 or 3.")
    if asymmetric and precision != "int8":
        raise InputError(f"asymmetric codes are INT8's: {precision} has none.")
    name = path.stem
    full, small = f"{name}.mlir", f"{name}_calibration.mlir"
    if calibration_size in (None, size):
        small = full
    found = [_transform(path, full, channels, size)]
    deploy = ["model_deploy.py", "--mlir", full, "--quantize", options["quantize"]]
    if precision == "int8":
        if table is None:
            table = f"{name}_ranges"
            if small != full:
                found.append(_transform(path, small, channels, calibration_size or size))
            found.append(
                (
                    *("run_calibration.py", small, "--dataset", calibration),
                    *("--input_num", str(images), "--cali_method", method),
                    *("--tune_num", "0", "-o", table),
                )
            )
        deploy += ["--calibration_table", table, "--quant_input", "--quant_output"]
        deploy += ["--asymmetric"] * asymmetric
    deploy += ["--processor", options["processor"], "--skip_validation"]
    return (*found, (*deploy, "--model", f"{name}.bmodel"))


def make_script(commands: Sequence[Sequence[str]]) -> str:
    """Returns `commands` as a script for a shell, which ends at the first that fails."""
    return "\n".join(["set -e", *map(shlex.join, commands)]) + "\n"


def _transform(
    path: pathlib.Path, mlir: str, channels: int, size: tuple[int, int]
) -> tuple[str, ...]:
    """Returns the command that reads the .onnx file, for images of `size`."""
    return (
        *("model_transform.py", "--model_name", path.stem, "--model_def", os.fspath(path)),
        *("--input_shapes", f"[[1,{channels},{size[0]},{size[1]}]]"),
        *(
            "--mean",
            ",".join(["0"] * channels),
            "--scale",
            ",".join([f"{1 / 255:.12f}"] * channels),
        ),
        *("--pixel_format", _PIXEL_FORMATS[channels], "--mlir", mlir),
    )
