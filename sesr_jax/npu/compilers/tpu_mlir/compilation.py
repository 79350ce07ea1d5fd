"""Compiles a network by tpu-mlir: the file, its timeline beside our estimate, a bundle for a board.

job = make_job(network, find_target("bm1684x-int8"), size=(480, 640), calibration=open_source("photos"))
result = compile_job(job, find_toolchain(), "out", check_on=open_source("Set5", 4))
print(result.to_text())
"""

import dataclasses
import json
import os
import pathlib
import shutil
import tempfile
from collections.abc import Sequence
from typing import Any

from tqdm import tqdm

from sesr_jax.data import ImagePair
from sesr_jax.files import make_folder, write_file
from sesr_jax.npu.compilers.result import Compilation, Operator
from sesr_jax.npu.compilers.tpu_mlir.bundle import write_bundle
from sesr_jax.npu.compilers.tpu_mlir.check import (
    CHECK_SIZE,
    Check,
    check_on_simulator,
    crop_centres,
    format_checks,
)
from sesr_jax.npu.compilers.tpu_mlir.job import Job
from sesr_jax.npu.compilers.tpu_mlir.table import name_operators
from sesr_jax.npu.compilers.tpu_mlir.timeline import TIMELINE, read_timeline
from sesr_jax.npu.compilers.tpu_mlir.toolchain import LOG, Toolchain
from sesr_jax.npu.estimate import Report, Row, estimate
from sesr_jax.npu.layers import Layer, layers_from_graph
from sesr_jax.report import format_table

_CHECK = "check"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Result:
    """What a compilation gave.

    Attributes:
      bmodel: the compiled file.
      compilation: the compiler's own estimate, by operator.
      report: our estimate of the same layers.
      check_size: height and width of the images of `checks`.
      checks: what the simulator gives, image by image.
    """

    bmodel: pathlib.Path
    compilation: Compilation
    report: Report
    check_size: tuple[int, int]
    checks: tuple[Check, ...]

    def to_text(self) -> str:
        """Returns the two estimates side by side, by layer and in total, and the comparison of outputs."""
        lines = [format_beside(self.compilation, self.report)]
        if self.checks:
            size = f"{self.check_size[1]}×{self.check_size[0]}"
            lines += ["", f"PSNR on tpu-mlir's simulator of the chip, inputs of {size} pixels:"]
            lines.append(format_checks(self.checks))
        return "\n".join(lines) + "\n"

    def to_json(self) -> dict[str, Any]:
        """Returns the figures for a file of JSON."""
        return {
            "tpu_mlir_seconds": self.compilation.seconds,
            "tpu_mlir_dram_bytes": self.compilation.dram_bytes,
            "tpu_mlir_operators": [dataclasses.asdict(one) for one in self.compilation.operators],
            "estimated_seconds": self.report.seconds,
            "estimated_dram_bytes": self.report.dram_bytes,
            "check_size": self.check_size,
            "checks": [dataclasses.asdict(check) for check in self.checks],
        }


def compile_job(
    job: Job,
    toolchain: Toolchain,
    folder: str | os.PathLike[str],
    *,
    check_on: Sequence[ImagePair] = (),
    check_size: tuple[int, int] | None = None,
) -> Result:
    """Compiles a job, runs the result on the simulator, and writes all of it into `folder`.

    Args:
      job: the network.
      toolchain: where tpu-mlir is installed.
      folder: gets the compiled file, the bundle for a board, and what is needed to compile again. Nothing is
        written where tpu-mlir fails.
      check_on: images on which outputs are compared; none for no comparison.
      check_size: height and width of the comparison's inputs, by default at most 64×64. Another size than the
        job's is compiled for itself.

    Raises:
      InputError: tpu-mlir refuses the network, a photo is too small, or a file cannot be written.
    """
    height, width = (min(pair) for pair in zip(job.size, CHECK_SIZE, strict=True))
    check_size = check_size or (height, width)
    crops = crop_centres(job, check_size, check_on)
    with tempfile.TemporaryDirectory(prefix="sesr_compile_") as name:
        work = pathlib.Path(name)
        job.write(work)
        commands = job.list_commands()
        apart = bool(crops) and check_size != job.size
        total = len(commands) + len(crops) + 2 * apart
        with tqdm(total=total, unit="step", leave=False, disable=None) as bar:

            def run(commands: Sequence[Sequence[str]], place: pathlib.Path) -> None:
                for command in commands:
                    bar.set_description(command[0].removesuffix(".py"))
                    toolchain.run(command, place)
                    bar.update()

            run(commands, work)
            compilation = read_timeline(
                work / TIMELINE, work / f"{job.name}.bmodel.json", job.target.name
            )
            place = work
            if apart:
                place = _prepare_check(job, work)
                run(job.list_commands(check_size, calibrated=True), place)
            bar.set_description("model_runner")
            checks = []
            for crop in crops:
                bmodel = place / f"{job.name}.bmodel"
                checks.append(check_on_simulator(job, toolchain, bmodel, crop))
                bar.update()
        out = make_folder(folder)
        job.write(out)
        result = Result(
            bmodel=out / f"{job.name}.bmodel",
            compilation=_rename(compilation, job),
            report=estimate(merge_shuffles(layers_from_graph(job.graph)), job.target),
            check_size=check_size,
            checks=tuple(checks),
        )
        for kept in (f"{job.name}.bmodel", job.table, LOG):
            if (work / kept).exists():
                write_file(out / kept, (work / kept).read_bytes())
        write_file(out / "compilation.json", json.dumps(result.to_json(), indent=2))
        write_bundle(job, out, result.to_text())
    return result


def merge_shuffles(layers: Sequence[Layer]) -> list[Layer]:
    """Returns the layers with depth-to-spaces that follow each other as one, as they are compiled."""
    found: list[Layer] = []
    for layer in layers:
        before = found[-1] if found else None
        readers = sum(before.output in other.inputs for other in layers) if before else 0
        shuffles = before is not None and {before.op, layer.op} == {"depth_to_space"}
        if before and shuffles and layer.inputs == (before.output,) and readers == 1:
            layer = dataclasses.replace(
                layer, inputs=before.inputs, input_shapes=before.input_shapes
            )
            found.pop()
        found.append(layer)
    return found


def format_beside(compilation: Compilation, report: Report) -> str:
    """Returns the compiler's operators beside our passes, by layer, and the totals of both.

    Cycles are those of the slower of the two engines, arithmetic and transfers, which work at once: the
    total is less than the sum.
    """
    theirs = {one.name: one for one in compilation.operators}
    ours: dict[str, list[Row]] = {}
    for row in report.rows:
        ours.setdefault(row.name.removesuffix("/layout"), []).append(row)
    names = [*ours, *(name for name in theirs if name not in ours)]
    rows = [
        [name, *_format_theirs(theirs.get(name)), *_format_ours(ours.get(name))] for name in names
    ]
    header = ["layer", "engine Mcycles", "DMA", "MB", "ours: engine", "DMA", "MB"]
    return "\n".join(
        [
            format_table(rows, header, "<>>>>>>"),
            f"{compilation.compiler} for {compilation.target}: {compilation.seconds * 1e3:.2f} ms, "
            f"{compilation.dram_bytes / 1e6:.1f} MB DRAM; ours: {report.seconds * 1e3:.2f} ms, "
            f"{report.dram_bytes / 1e6:.1f} MB DRAM. Both are estimates.",
        ]
    )


def _format_theirs(one: Operator | None) -> list[str]:
    if one is None:
        return ["–"] * 3
    return [
        f"{one.compute_cycles / 1e6:.3f}",
        f"{one.dram_cycles / 1e6:.3f}",
        f"{one.dram_bytes / 1e6:.2f}",
    ]


def _format_ours(rows: Sequence[Row] | None) -> list[str]:
    if not rows:
        return ["–"] * 3
    transfers = sum(row.dram_bytes for row in rows)
    engine = sum(max(row.mac_cycles, row.vector_cycles) for row in rows)
    dma = sum(row.cycles for row in rows if row.bound in ("read", "write", "serial"))
    return [f"{engine / 1e6:.3f}", f"{dma / 1e6:.3f}", f"{transfers / 1e6:.2f}"]


def _rename(compilation: Compilation, job: Job) -> Compilation:
    """Returns the compilation with the names of our layers for those of tpu-mlir's operators.

    tpu-mlir names a convolution with its ReLU after the ReLU, we after the convolution.
    """
    tensors = {operator: tensor for tensor, operator in name_operators(job.model).items()}
    made = {tensors.get(one.name, one.name) for one in compilation.operators}
    layers = {
        layer.output: layer.name for layer in layers_from_graph(job.graph) if layer.name not in made
    }

    def rename(name: str) -> str:
        tensor = tensors.get(name, name)
        return layers.get(tensor, tensor)

    return dataclasses.replace(
        compilation,
        operators=tuple(
            dataclasses.replace(one, name=rename(one.name)) for one in compilation.operators
        ),
    )


def _prepare_check(job: Job, work: pathlib.Path) -> pathlib.Path:
    """Makes the folder in which the file of the check is compiled, with the table of the whole job."""
    place = work / _CHECK
    place.mkdir()
    shutil.copy(work / f"{job.name}.onnx", place)
    if (work / job.table).exists():
        shutil.copy(work / job.table, place)
    return place
