"""The timeline that tpu-mlir writes of a compiled file: what the chip's engines do in which cycle.

    Conv2D_88|CONV|s:99034|b:12|g:8|e:161209|t:62176
    Load_89|GDMA_TENSOR|s:101|b:3|g:4|e:780|t:680|dr:0|sz:36864|bw:54.2

A command has the kind and the line of its operator in the last MLIR file, its first and last cycle, and
its cycles. Those of the DMA engine also have a direction and bytes. The clock is 1 GHz. It is the
compiler's own model of the chip, and no measurement.
"""

import collections
import dataclasses
import json
import os
import pathlib
import re
from collections.abc import Mapping, Sequence
from typing import Any

from sesr_jax.errors import InputError
from sesr_jax.npu.compilers.result import Compilation, Operator

TIMELINE = "compiler_profile_0.txt"
"""The name of the timeline's file."""

CLOCK = 1e9

_COMMAND = re.compile(
    r"([\w.]+)_(\d+)\|\w+\|s:\d+\|b:\d+\|g:\d+\|e:\d+\|t:(\d+)(\|dr:\d+\|sz:(\d+))?"
)


@dataclasses.dataclass
class _Work:
    """What the commands of one operator take: cycles of the engines and bytes over the bus."""

    compute: int = 0
    dma: int = 0
    moved: int = 0


def read_timeline(
    timeline: str | os.PathLike[str], locations: str | os.PathLike[str], target: str
) -> Compilation:
    """Reads the timeline of a compilation.

    Args:
      timeline: the file `TIMELINE`.
      locations: the JSON file beside it that names the tensors of each operator.
      target: the name of our target.

    Returns:
      The operators in the order in which they begin. Loads are those of the operator that reads, and
      stores those of the one that writes. The engines work at once, so that the cycles of operators, the
      more of the two, are not to be added; `seconds` is the whole timeline's.

    Raises:
      InputError: the files are no such files.
    """
    text = pathlib.Path(timeline).read_text("utf-8", errors="replace")
    total = re.search(r"^TCYC : (\d+)", text, re.MULTILINE)
    if total is None:
        raise InputError(
            f"{timeline} has no total of cycles (TCYC): tpu-mlir's timelines end with it."
        )
    owners, kinds = _find_owners(json.loads(pathlib.Path(locations).read_text("utf-8")))
    found: dict[str, _Work] = collections.defaultdict(_Work)
    for kind, line, cycles, transfer, size in _COMMAND.findall(text):
        work = found[owners.get(int(line), f"{kind}_{line}")]
        if transfer:
            work.dma += int(cycles)
            work.moved += int(size)
        else:
            work.compute += int(cycles)
    operators = tuple(
        Operator(
            name=name,
            op=kinds.get(name, ""),
            cycles=max(work.compute, work.dma),
            compute_cycles=work.compute,
            dram_cycles=work.dma,
            dram_bytes=work.moved,
        )
        for name, work in found.items()
    )
    return Compilation(
        compiler="tpu-mlir",
        target=target,
        clock_hz=CLOCK,
        operators=operators,
        seconds=int(total[1]) / CLOCK,
        host_seconds=0.0,
        dram_bytes=sum(work.moved for work in found.values()),
        sram_bytes=0,
    )


def _find_owners(rows: Sequence[Mapping[str, Any]]) -> tuple[dict[int, str], dict[str, str]]:
    """Returns the tensor to which the commands of each line belong, and the operator of each tensor."""
    kinds: dict[str, str] = {}
    loads: dict[str, list[int]] = collections.defaultdict(list)
    owners: dict[int, str] = {}
    for row in rows:
        line, kind = int(row["file-line"]), str(row["opcode"]).removeprefix("tpu.")
        name = row["results"][0]["name"] if row["results"] else f"{kind}_{line}"
        owners[line] = name
        if kind == "Load":
            loads[name].append(line)
        else:
            kinds.setdefault(name, kind)
            for operand in row["operands"]:
                for load in loads.pop(operand.get("name", ""), ()):
                    owners[load] = name
    return owners, kinds
