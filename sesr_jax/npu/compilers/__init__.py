"""Vendors' own compilers behind one interface: what they say of a model, beside our estimate.

    compilation = compile_model("m5_int8.tflite", find_target("ethos-u85-2048"))
    print(compilation.to_text())

The table ``[compiler]`` of a target's file names the compiler and holds its options. Vela, for the
Ethos-U, comes with the extra "npu" and runs here on .tflite files. tpu-mlir, for Sophgo's chips, runs in a
Python and an environment of its own, on networks: `tpu_mlir.compile_job`, and ``sesr compile``.
"""

import os
from collections.abc import Callable, Mapping

from sesr_jax.errors import InputError
from sesr_jax.npu.compilers import tpu_mlir, vela
from sesr_jax.npu.compilers.result import Compilation, Operator
from sesr_jax.targets import Target

COMPILERS: Mapping[str, Callable[[str | os.PathLike[str], Target], Compilation]] = {
    "vela": vela.compile_tflite
}
"""The compilers of .tflite files, by the name in a target's file."""


def compile_model(path: str | os.PathLike[str], target: Target) -> Compilation:
    """Returns what the compiler of `target` says of the INT8 model in the .tflite file `path`.

    Raises:
      InputError: no compiler of the target runs here, it is not installed, the file is no INT8 model,
        or the compiler refuses it.
    """
    name = (target.compiler or {}).get("name", "")
    if name not in COMPILERS:
        if name == "tpu-mlir":
            raise InputError(
                f"{target.name} has the compiler {name}, which takes no .tflite file but a network; use "
                "`sesr compile`."
            )
        raise InputError(
            f"nothing is compiled for {target.name}, whose file names none of the compilers that run here "
            f"({', '.join(COMPILERS)})."
        )
    return COMPILERS[name](path, target)


__all__ = ["COMPILERS", "Compilation", "Operator", "compile_model", "tpu_mlir", "vela"]
