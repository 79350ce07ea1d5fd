"""Files for AI Benchmark, the app with which the Mobile AI challenges time models on phones.

options = ai_benchmark_options(precision="int8")
export_network(network, ai_benchmark_path("phone"), options=options)

The app's custom-model mode runs any TFLite file that is called `APP_FILE`, on pixels of uint8 or float; see
docs/ai_benchmark.md.
"""

import os
import pathlib
from typing import Any

from sesr_jax.errors import InputError
from sesr_jax.export.options import Options

APP_FILE = "model.tflite"
"""The one name that the app looks for."""


def ai_benchmark_path(out: str | os.PathLike[str]) -> pathlib.Path:
    """Returns the file to write for `out`, which is a folder or such a file itself.

    Raises:
      InputError: `out` is a file of another name.
    """
    out = pathlib.Path(out)
    if out.name == APP_FILE:
        return out
    if out.suffix in (".tflite", ".onnx", ".safetensors"):
        raise InputError(
            f"AI Benchmark runs {APP_FILE}, not {out.name}: give a folder, or that name."
        )
    return out / APP_FILE


def ai_benchmark_options(**choices: Any) -> Options:
    """Returns the options of a file that the app runs; an INT8 file gets pixels of uint8.

    Args:
      **choices: fields of `Options`.

    Raises:
      InputError: the pixels would be int8 or int16; or as `Options`.
    """
    if choices.get("precision") == "int16" or choices.get("io") == "int8":
        kind = "int16" if choices.get("precision") == "int16" else "int8"
        raise InputError(f"AI Benchmark gives pixels of uint8 or float, not of {kind}.")
    if choices.get("precision", "int8") == "int8":
        choices["io"] = "uint8"
    return Options(**choices)
