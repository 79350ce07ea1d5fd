r"""The hand-over to tpu-mlir, Sophgo's compiler, which wants Python 3.10 and packages of its own.

    sesr export --model runs/m5 --precision float32 --out m5.onnx    # here
    python -c "from sesr_jax.npu import find_target; from sesr_jax.npu.compilers import tpu_mlir; \
      print(tpu_mlir.make_script('m5.onnx', find_target('bm1684x-int8'), size=(300, 400)))" > m5.sh
    sh m5.sh                                                  # there, after pip install tpu_mlir

The INT8 steps want a folder of low-resolution images, from which tpu-mlir takes ranges of its own:
the file handed over is the float one. Nothing here reads back what it compiles.
"""

import os
import pathlib
import shlex

from sesr_jax.errors import InputError
from sesr_jax.targets import Target


def list_commands(
    onnx: str | os.PathLike[str],
    target: Target,
    *,
    size: tuple[int, int],
    channels: int = 1,
    calibration: str = "calibration",
) -> tuple[tuple[str, ...], ...]:
    """Returns the commands that compile `onnx`, to be run where tpu-mlir is installed.

    Args:
      onnx: a float .onnx file, which is not read here.
      target: its table ``compiler`` holds tpu-mlir's processor and quantisation.
      size: height and width of the input.
      channels: the channels of the input.
      calibration: a folder of images on that machine; INT8 alone needs it.

    Raises:
      InputError: tpu-mlir is not the target's compiler, or the file is no .onnx file.
    """
    options = target.compiler or {}
    if options.get("name") != "tpu-mlir":
        raise InputError(f"tpu-mlir does not compile for {target.name}; choose bm1684x-int8.")
    path = pathlib.Path(onnx)
    if path.suffix != ".onnx":
        raise InputError(f"{path} is no .onnx file; write one with `sesr export --out x.onnx`.")
    name, quantise = path.stem, options["quantize"]
    shape = f"[[1,{channels},{size[0]},{size[1]}]]"
    transform = f"model_transform.py --model_name {name} --mlir {name}.mlir".split()
    found = [(*transform, "--model_def", os.fspath(path), "--input_shapes", shape)]
    deploy = f"model_deploy.py --mlir {name}.mlir --quantize {quantise}".split()
    if quantise == "INT8":
        calibrate = f"run_calibration.py {name}.mlir --input_num 32 -o {name}_ranges".split()
        found.append((*calibrate, "--dataset", calibration))
        deploy += ["--calibration_table", f"{name}_ranges"]
    deploy += ["--processor", options["processor"], "--model", f"{name}.bmodel"]
    return (*found, tuple(deploy))


def make_script(
    onnx: str | os.PathLike[str], target: Target, *, size: tuple[int, int], channels: int = 1
) -> str:
    """Returns the commands of `list_commands` as lines for a shell."""
    commands = list_commands(onnx, target, size=size, channels=channels)
    return "\n".join(map(shlex.join, commands))
