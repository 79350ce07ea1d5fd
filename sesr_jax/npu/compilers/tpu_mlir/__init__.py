"""tpu-mlir, Sophgo's compiler: a network becomes a .bmodel for the BM1684X.

    job = make_job(network, find_target("bm1684x-int8"), size=(480, 640), calibration=open_source("photos"))
    result = compile_job(job, find_toolchain("tpumlir"), "out", check_on=open_source("embedded:eval", 4))
    print(result.to_text())

`toolchain` runs the programs in an environment of their own. `commands` are what they are told, `job` what
they read, `table` and `timeline` what they write. `check` runs the compiled file on tpu-mlir's simulator
of the chip.
"""

from sesr_jax.npu.compilers.tpu_mlir import on_board
from sesr_jax.npu.compilers.tpu_mlir.check import (
    Check,
    Crop,
    check_on_simulator,
    crop_centres,
    format_checks,
)
from sesr_jax.npu.compilers.tpu_mlir.commands import METHODS, list_commands, make_script
from sesr_jax.npu.compilers.tpu_mlir.compilation import (
    Result,
    compile_job,
    format_beside,
    merge_shuffles,
)
from sesr_jax.npu.compilers.tpu_mlir.job import Job, Source, make_job
from sesr_jax.npu.compilers.tpu_mlir.shuffles import to_pixel_shuffles
from sesr_jax.npu.compilers.tpu_mlir.table import Entry, format_table, read_table
from sesr_jax.npu.compilers.tpu_mlir.timeline import read_timeline
from sesr_jax.npu.compilers.tpu_mlir.toolchain import (
    VARIABLE,
    Toolchain,
    find_toolchain,
    make_toolchain,
)

__all__ = [
    "METHODS",
    "VARIABLE",
    "Check",
    "Crop",
    "Entry",
    "Job",
    "Result",
    "Source",
    "Toolchain",
    "check_on_simulator",
    "compile_job",
    "crop_centres",
    "find_toolchain",
    "format_beside",
    "format_checks",
    "format_table",
    "list_commands",
    "make_job",
    "make_script",
    "make_toolchain",
    "merge_shuffles",
    "on_board",
    "read_table",
    "read_timeline",
    "to_pixel_shuffles",
]
