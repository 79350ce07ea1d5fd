"""Latency, DRAM traffic and energy of a network on an NPU, before any training.

    report = estimate(layers_from_graph(graph), find_target("ethos-n78-4tops"))
    print(report.to_text())

`npu.lowering` turns layers into passes, `npu.schedule` cuts passes into stripes, chains and times them, and
`sesr_jax.targets` describes the NPU. Passes follow each other in time. ``python -m benchmarks.npu`` measures
how close the figures are to those of vendors' own estimators.
"""

import dataclasses
import math
from collections import Counter
from collections.abc import Sequence

from sesr_jax.errors import InputError
from sesr_jax.npu.costs import Cost
from sesr_jax.npu.layers import BIAS_BYTES, CONVOLUTIONS, Layer, find_batches
from sesr_jax.npu.lowering import lower
from sesr_jax.npu.passes import Pass
from sesr_jax.npu.schedule import schedule
from sesr_jax.report import format_table
from sesr_jax.targets import Target


@dataclasses.dataclass(frozen=True, kw_only=True)
class Row:
    """What one pass costs.

    Attributes:
      name: the name of the pass.
      op: its operation.
      shape: the shape of its output, ``[N, H, W, C]``.
      cascade: the number of the cascade in which it runs; all passes of one number run together.
      schedule: "alone" where it is the only one; in a cascade "stripes", or "on chip" where its whole map
        lies there.
      stripes: how many stripes its map is cut into.
      algorithm: of the MAC array: "direct", "winograd", or "" where it rests.
      macs: multiply-accumulates of the layer, also where the target cannot run it.
      mac_cycles: cycles of the MAC array without its overhead per stripe.
      vector_cycles: cycles of the vector engine without its overhead per stripe.
      read_bytes: bytes read from DRAM, weights among them.
      write_bytes: bytes written to DRAM.
      cycles: cycles of the pass.
      bound: the longest part: "mac", "vector", "read", "write", or "serial" transfers.
      utilisation: the share of the array's peak that the layer's own MACs take, 0 where they do not run;
        Winograd's method can bring it above 1.
      sram_bytes: on-chip memory in use while it runs.
      joules: its energy; None where the target gives no energies.
      flag: why the target cannot run it; "" if it can.
    """

    name: str
    op: str
    shape: tuple[int, int, int, int]
    cascade: int
    schedule: str
    stripes: int
    algorithm: str
    macs: int
    mac_cycles: int
    vector_cycles: int
    read_bytes: int
    write_bytes: int
    cycles: float
    bound: str
    utilisation: float
    sram_bytes: int
    joules: float | None
    flag: str

    @property
    def macs_run(self) -> int:
        """Multiply-accumulates that the target runs: none where it cannot."""
        return 0 if self.flag else self.macs

    @property
    def dram_bytes(self) -> int:
        """Bytes that cross the DRAM's bus, both ways."""
        return self.read_bytes + self.write_bytes


_COLUMNS = (
    "name",
    "op",
    "shape",
    "cascade",
    "schedule",
    "stripes",
    "algorithm",
    "gmac",
    "mac_mcycles",
    "vector_mcycles",
    "read_mb",
    "write_mb",
    "sram_kib",
    "ms",
    "utilisation",
    "bound",
    "flag",
)
_WORDS = {"name", "op", "shape", "schedule", "algorithm", "bound", "flag"}
_LONG = {"stripes", "algorithm", "mac_mcycles", "vector_mcycles"}
"""The columns for which a terminal has no room."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Report:
    """What a network costs on a target.

    Attributes:
      target: the NPU.
      activation_saving: the share that compression was assumed to save; 0 where the target does not compress.
      rows: one per pass, in the order in which they run.
    """

    target: Target
    activation_saving: float
    rows: tuple[Row, ...]

    @property
    def macs(self) -> int:
        """Multiply-accumulates of the network."""
        return sum(row.macs for row in self.rows)

    @property
    def mac_cycles(self) -> int:
        """Cycles of the MAC array."""
        return sum(row.mac_cycles for row in self.rows)

    @property
    def vector_cycles(self) -> int:
        """Cycles of the vector engine."""
        return sum(row.vector_cycles for row in self.rows)

    @property
    def dram_bytes(self) -> int:
        """Bytes that cross the DRAM's bus, both ways."""
        return sum(row.dram_bytes for row in self.rows)

    @property
    def peak_sram_bytes(self) -> int:
        """The most on-chip memory in use at once."""
        return max((row.sram_bytes for row in self.rows), default=0)

    @property
    def seconds(self) -> float:
        """Time for one frame."""
        return sum(row.cycles for row in self.rows) / self.target.clock_hz

    @property
    def fps(self) -> float:
        """Frames per second."""
        return 1 / self.seconds if self.seconds else math.inf

    @property
    def utilisation(self) -> float:
        """The share of the array's peak that its MACs take; Winograd's method can bring it above 1."""
        peak = self.target.clock_hz * self.target.mac.macs_per_cycle
        run = sum(row.macs_run for row in self.rows)
        return run * self.fps / peak if run else 0.0

    @property
    def joules(self) -> float | None:
        """Energy of one frame; None where the target gives none."""
        parts = [row.joules for row in self.rows if row.joules is not None]
        return sum(parts) if parts else None

    @property
    def flagged(self) -> tuple[Row, ...]:
        """The passes that the target cannot run: their traffic is counted, their arithmetic not."""
        return tuple(row for row in self.rows if row.flag)

    def to_csv(self) -> str:
        """Returns one line per pass, with a header; megabytes are 10⁶ bytes, kibibytes 1024."""
        return "".join(
            ",".join(cell.replace(",", ";") for cell in line) + "\n"
            for line in (_COLUMNS, *self._cells())
        )

    def to_text(self) -> str:
        """Returns an aligned table, the totals, and what the target cannot run."""
        shown = [i for i, column in enumerate(_COLUMNS) if column not in _LONG]
        header = [_COLUMNS[i] for i in shown]
        align = "".join("<" if column in _WORDS else ">" for column in header)
        table = format_table([[row[i] for i in shown] for row in self._cells()], header, align)
        return "\n".join([table, self.summarise(), *self.list_warnings()]) + "\n"

    def summarise(self) -> str:
        """Returns the totals, in one line."""
        energy = "" if self.joules is None else f", {self.joules * 1e3:.1f} mJ"
        return (
            f"{self.target.name}, activation saving {self.activation_saving:g}: "
            f"{self.seconds * 1e3:.3f} ms, {self.fps:.1f} FPS, {self.macs / 1e9:.3f} GMAC, "
            f"{self.mac_cycles / 1e6:.3f} Mcycles MAC, {self.dram_bytes / 1e6:.2f} MB DRAM, "
            f"{self.peak_sram_bytes / 1024:.0f} KiB SRAM, utilisation {self.utilisation:.1%}{energy}"
        )

    def list_warnings(self) -> tuple[str, ...]:
        """Returns a sentence per pass that the target cannot run, and one about uncertain figures."""
        refused = [
            f"NOT SUPPORTED: {row.name} ({row.op}): {row.flag}; only its memory traffic is counted."
            for row in self.flagged
        ]
        if self.target.uncertain:
            names = ", ".join(self.target.uncertain)
            refused.append(f"Assumed or fitted in {self.target.name}: {names}.")
        return tuple(refused)

    def _cells(self) -> list[tuple[str, ...]]:
        return [
            (
                row.name,
                row.op,
                "×".join(map(str, row.shape[1:])),
                str(row.cascade),
                row.schedule,
                str(row.stripes),
                row.algorithm,
                f"{row.macs / 1e9:.3f}",
                f"{row.mac_cycles / 1e6:.4f}",
                f"{row.vector_cycles / 1e6:.4f}",
                f"{row.read_bytes / 1e6:.3f}",
                f"{row.write_bytes / 1e6:.3f}",
                f"{row.sram_bytes / 1024:.0f}",
                f"{row.cycles / self.target.clock_hz * 1e3:.4f}",
                f"{row.utilisation:.3f}",
                row.bound,
                row.flag,
            )
            for row in self.rows
        ]


def estimate(layers: Sequence[Layer], target: Target, *, activation_saving: float = 0.0) -> Report:
    """Estimates what `layers` cost on `target`, pass by pass.

    Args:
      layers: in an order in which they can run, for one image. A target of floats takes elements of any
        width for its own, except those of biases; a target of INT8 flags layers of other widths.
      target: the NPU.
      activation_saving: the share, in [0, 1), that the compression of intermediate tensors saves, where
        the target compresses.

    Raises:
      InputError: there are no layers, or several images, or convolutions of elements with which the target
        does not compute, or layers of integers whose speed it does not state, or the saving lies outside its
        range.
    """
    if not 0 <= activation_saving < 1:
        raise InputError(f"activation_saving is {activation_saving}; it must lie in [0, 1).")
    if not layers:
        raise InputError("there are no layers to estimate: a network has at least one.")
    if several := find_batches(layers):
        raise InputError(
            f"the layer {several[0]!r} has a batch of several images; trace it with a batch of 1."
        )
    for layer in layers:
        if layer.bits in target.untimed_bits:
            raise InputError(
                f"the layer {layer.name!r} has {layer.bits}-bit tensors, with which {target.name} computes "
                "at a speed that is not modelled; a full INT8 file can be estimated."
            )
        if target.bits == 8 and layer.bits != 8 and layer.op in CONVOLUTIONS:
            raise InputError(
                f"the layer {layer.name!r} has {layer.bits}-bit tensors and {target.name} computes "
                f"with {target.bits}; convert the model to full INT8, inputs and outputs included."
            )
    if target.bits != 8:
        layers = [_with_wider_constants(layer, target.bits) for layer in layers]
    saving = activation_saving if target.compresses else 0.0
    passes = lower(layers, target)
    costs = schedule(passes, target, saving=saving)
    together = Counter(cost.cascade for cost in costs if not cost.conversion)
    rows = tuple(
        _make_row(passes[cost.index], cost, target, fused=together[cost.cascade] > 1)
        for cost in costs
    )
    return Report(target=target, activation_saving=saving, rows=rows)


def _with_wider_constants(layer: Layer, bits: int) -> Layer:
    """Returns the layer with constants of `bits`; biases keep their 4 bytes."""
    channels = layer.output_shape[-1]
    biases = BIAS_BYTES * channels if layer.op in CONVOLUTIONS else 0
    others = max(0, layer.weight_bytes - biases)
    return dataclasses.replace(
        layer,
        weight_bytes=biases + others * bits // layer.weight_bits,
        activation_bytes=channels * bits // 8 if layer.activation_bytes else 0,
    )


def _make_row(p: Pass, cost: Cost, target: Target, *, fused: bool) -> Row:
    """Returns the row of a pass, or of a conversion for it; `fused` says whether it shares its cascade."""
    macs = 0 if cost.conversion else p.macs
    flag = "" if cost.conversion else p.flag
    run = 0 if flag else macs
    joules = None
    if target.energy is not None:
        bytes_moved = cost.read_bytes + cost.write_bytes
        joules = 1e-12 * (run * target.energy.mac + bytes_moved * target.energy.dram_byte)
    # The pass is bound by what would make it shorter if it took no time.
    bound = max(cost.parts, key=cost.parts.__getitem__, default="serial")
    schedule_name = "alone"
    if fused and not cost.conversion:
        schedule_name = "stripes" if cost.stripes > 1 else "on chip"
    shape = p.output_shape
    if cost.conversion and cost.conversion != p.output:
        shape = p.input_shapes[p.inputs.index(cost.conversion)]
    return Row(
        name=f"{p.name}/layout" if cost.conversion else p.name,
        op="layout" if cost.conversion else p.op,
        shape=shape,
        cascade=cost.cascade,
        schedule=schedule_name,
        stripes=cost.stripes,
        algorithm=cost.algorithm,
        macs=macs,
        mac_cycles=cost.mac_cycles,
        vector_cycles=cost.vector_cycles,
        read_bytes=cost.read_bytes,
        write_bytes=cost.write_bytes,
        cycles=cost.cycles,
        bound=bound,
        utilisation=run / (cost.cycles * target.mac.macs_per_cycle) if cost.cycles else 0.0,
        sram_bytes=cost.sram_bytes,
        joules=joules,
        flag=flag,
    )
