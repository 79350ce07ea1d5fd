"""tpu-mlir, Sophgo's compiler: a network becomes a .bmodel for the BM1684X.

    job = make_job(network, find_target("bm1684x-int8"), size=(480, 640), calibration=open_source("photos"))
    result = compile_job(job, find_toolchain("tpumlir"), "out", check_on=open_source("embedded:eval", 4))
    print(result.to_text())

`toolchain` runs the programs in an environment of their own. `commands` are what they are told, `job` what
they read, `table` and `timeline` what they write. `check` runs the compiled file on tpu-mlir's simulator
of the chip.
"""

from sesr_jax.npu.compilers.tpu_mlir.commands import METHODS
from sesr_jax.npu.compilers.tpu_mlir.compilation import Result, compile_job, merge_shuffles
from sesr_jax.npu.compilers.tpu_mlir.job import Job, Source, make_job
from sesr_jax.npu.compilers.tpu_mlir.toolchain import (
    VARIABLE,
    Toolchain,
    find_toolchain,
    make_toolchain,
)

__all__ = [
    "METHODS",
    "VARIABLE",
    "Job",
    "Result",
    "Source",
    "Toolchain",
    "compile_job",
    "find_toolchain",
    "make_job",
    "make_toolchain",
    "merge_shuffles",
]
