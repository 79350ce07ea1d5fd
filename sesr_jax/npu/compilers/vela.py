"""Arm's Vela, the compiler for the Ethos-U, run on a .tflite file.

    compilation = compile_tflite("m5_int8.tflite", find_target("ethos-u65-512"))

Its figures are estimates of its own performance model, not measurements. An operator that the NPU
lacks, DEPTH_TO_SPACE above all, falls to the host's CPU and counts as nothing there; here it counts
as our estimate of its traffic. In its memory modes without a size ("Shared_Sram", "Sram_Only") a map
of any size fits on chip. On the Ethos-U85 a convolution of 1 or 2 channels
counts half its products: its padded weights are 2:4 sparse.
"""

import csv
import importlib.util
import os
import pathlib
import re
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence

from sesr_jax.errors import InputError
from sesr_jax.npu.compilers.result import Compilation, Operator
from sesr_jax.npu.estimate import Report, estimate
from sesr_jax.npu.layers import Layer
from sesr_jax.npu.tflite_layers import layers_from_tflite
from sesr_jax.targets import Target

_TIMEOUT = 600  # seconds; a frame of 4K takes a few


def compile_tflite(path: str | os.PathLike[str], target: Target) -> Compilation:
    """Returns what Vela says of the INT8 model in `path` on `target`.

    Args:
      path: a .tflite file.
      target: its table ``compiler`` holds Vela's accelerator, system and memory mode.

    Raises:
      InputError: Vela is not installed, the file is no INT8 model, or Vela refuses it.
    """
    layers = layers_from_tflite(path)
    ours = estimate(layers, target)  # refuses floats
    if importlib.util.find_spec("ethosu") is None:
        raise InputError(
            'Vela is not installed; install the extra that has it: pip install "sesr_jax[npu]".'
        )
    with tempfile.TemporaryDirectory() as folder:
        output = _run(pathlib.Path(path).resolve(), target, folder)
        rows = _read_csv(folder, "*_per-layer.csv")
        summary = _read_csv(folder, "*_summary_*.csv")[0]
    operators = _merge_rows(rows, _read_reasons(output), layers, ours)
    host_cycles = sum(operator.cycles for operator in operators if operator.host)
    return Compilation(
        compiler="Vela",
        target=target.name,
        clock_hz=float(summary["core_clock"]),
        operators=operators,
        seconds=float(summary["inference_time"]),
        host_seconds=host_cycles / target.clock_hz,
        dram_bytes=round(
            float(summary["dram_total_bytes"]) + float(summary["off_chip_flash_total_bytes"])
        ),
        sram_bytes=round(float(summary["sram_memory_used"]) * 1024),
    )


def _run(path: pathlib.Path, target: Target, folder: str) -> str:
    """Compiles the file into `folder`, and returns what Vela prints."""
    options = target.compiler or {}
    for name in ("accelerator", "system", "memory"):
        if name not in options:
            raise InputError(
                f"{target.name}: [compiler] has no {name}, which Vela wants; see ethos-u65-512.toml."
            )
    command = [sys.executable, "-m", "ethosu.vela", str(path), "--output-dir", folder]
    command += ["--accelerator-config", options["accelerator"], "--config", "Arm/vela.ini"]
    command += ["--system-config", options["system"], "--memory-mode", options["memory"]]
    command += ["--verbose-performance", "--show-cpu-operations"]
    try:
        process = subprocess.run(
            command, cwd=folder, capture_output=True, text=True, check=True, timeout=_TIMEOUT
        )
    except subprocess.CalledProcessError as error:
        lines = (error.stdout + error.stderr).strip().splitlines() or ["it said nothing"]
        raise InputError(
            f"Vela does not compile {path.name} for {target.name} ({lines[-1].strip()}); export it again "
            "or choose another target."
        ) from error
    except subprocess.TimeoutExpired as error:
        raise InputError(
            f"Vela takes longer than {_TIMEOUT} s on {path.name}; export it at a smaller size."
        ) from error
    return process.stdout


def _read_csv(folder: str, pattern: str) -> list[dict[str, str]]:
    found = list(pathlib.Path(folder).glob(pattern))
    if not found:
        raise InputError(f"Vela wrote no {pattern[2:]}; install ethos-u-vela 4.5 or later.")
    with open(found[0], newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def _read_reasons(output: str) -> dict[str, str]:
    """Returns why operators fall to the host, by the tensor that they write."""
    return dict(re.findall(r"operator: \S+, ofm: '(.*)'\nReason: (.*)", output))


def _merge_rows(
    rows: Sequence[Mapping[str, str]],
    reasons: Mapping[str, str],
    layers: Sequence[Layer],
    ours: Report,
) -> tuple[Operator, ...]:
    """Returns Vela's rows as operators; rows of one tensor are one, as where Vela splits an operator."""
    merged: dict[tuple[str, bool], Operator] = {}
    estimates = _count_cycles(layers, ours)
    for row in rows:
        name, host = row["Name"], row["Target"] == "CPU"
        before = merged.get(
            (name, host), Operator(name=name, op=row["Original Operator"], cycles=0)
        )
        cycles = estimates.get(name, 0) if host else before.cycles + float(row["Op Cycles"])
        merged[name, host] = Operator(
            name=name,
            op=before.op,
            cycles=cycles,
            compute_cycles=before.compute_cycles + float(row["NPU"]),
            sram_cycles=before.sram_cycles + float(row["SRAM AC"]),
            dram_cycles=before.dram_cycles
            + sum(float(row[key]) for key in ("DRAM AC", "OnFlash AC", "OffFlash AC")),
            host=host,
            reason=reasons.get(name, "") if host else "",
        )
    return tuple(merged.values())


def _count_cycles(layers: Sequence[Layer], ours: Report) -> dict[str, float]:
    """Returns our cycles of each layer with its activation, by the name of the tensor that it writes."""
    return {
        layer.output.partition(":")[2]: sum(
            row.cycles
            for row in ours.rows
            if row.name in (layer.name, layer.output) or row.name.startswith(f"{layer.name}/")
        )
        for layer in layers
    }
