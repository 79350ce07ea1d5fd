"""Latency and DRAM traffic of a network on Arm Ethos-N78, before any training.

    report = estimate(layers_from_graph(graph), find_target("ethos-n78-4tops"))
    print(report.to_text())

The time of a pass is the open estimator's (Ethos-N driver stack 25.03, `EstimationUtils.cpp`):
the transfers that nothing can hide, plus the longest of DRAM read, DRAM write, MAC engine and
vector engine, each with its overhead a stripe. Passes follow each other.

The schedule is ours. Passes are grouped into *cascades*: runs of consecutive passes through which a
frame flows in stripes of whole rows, each pass taking from SRAM what the one before it made. Every
other tensor goes through DRAM: one that a later pass reads too (a residual), and the one before an
upscaling pass, which opens a cascade of its own (so in the vendor's table). A cascade is possible
if its stripes fit into SRAM with its weights: three of a tensor before a kernel with a reach (the
stripe and its neighbours) and one before any other, one more to load ahead of a pass that reads
DRAM, two to write behind one that writes it. Cascades and stripes are those of the least total time
(dynamic programming over the runs, powers of two for the number of stripes). A pass alone may split
its rows too, and then reads the borders of its stripes twice. Weights are read once.

Tensors lie in DRAM in bricks of 8 × 8 pixels with their own channels, as the open estimator counts
them (in SRAM they take whole bricks of 16 channels); the network's input and outputs are plain
NHWC. `activation_saving` is the share that compression saves of every other tensor.

How close this is to the vendor's own table is what `tests/npu/test_vendor.py` measures;
``pytest tests/npu/test_vendor.py -s`` prints each network's error. MAC cycles agree almost exactly;
DRAM bytes closely at 1080p, where tensors do not fit on chip, and less so in between, where the
vendor's search cascades less than it could. Limits: batch 1; no schedule splits channels; weights
do not compress; the vendor's compiler sometimes converts the input's layout in a pass of its own,
which is not modelled.
"""

import dataclasses
import functools
import math
from collections.abc import Sequence

from sesr_jax.errors import InputError
from sesr_jax.npu.layers import Layer, as_nhwc
from sesr_jax.npu.passes import ceil_div, lower, requantised, round_up
from sesr_jax.npu.targets import Target
from sesr_jax.report import text_table


@dataclasses.dataclass(frozen=True, kw_only=True)
class Row:
    """What one pass costs.

    Attributes:
      name: of the pass.
      op: what it does.
      shape: of its output, ``[N, H, W, C]``.
      cascade: the number of the cascade in which it runs.
      stripes: into which its tensors are cut.
      algorithm: of the MAC engine: "direct", "winograd", or "" where it rests.
      macs: multiply-accumulates of the layer.
      mce_cycles: of the MAC engine, without its overhead a stripe.
      ple_cycles: of the vector engine, likewise.
      read_bytes: from DRAM, weights among them.
      write_bytes: to DRAM.
      cycles: that the pass takes.
      bound: the longest part: "mce", "ple", "read", "write", or "serial" transfers.
      flag: why the target cannot run it; "" if it can.
    """

    name: str
    op: str
    shape: tuple[int, int, int, int]
    cascade: int
    stripes: int
    algorithm: str
    macs: int
    mce_cycles: int
    ple_cycles: int
    read_bytes: int
    write_bytes: int
    cycles: float
    bound: str
    flag: str

    @property
    def dram_bytes(self) -> int:
        """Both ways."""
        return self.read_bytes + self.write_bytes


_COLUMNS = (
    "name",
    "op",
    "shape",
    "cascade",
    "algorithm",
    "gmac",
    "mce_mcycles",
    "ple_mcycles",
    "read_mb",
    "write_mb",
    "ms",
    "bound",
    "flag",
)
_WORDS = {"name", "op", "shape", "algorithm", "bound", "flag"}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Report:
    """What a network costs on a target.

    Attributes:
      target: the NPU.
      activation_saving: the compression that was assumed.
      rows: one a pass, in the order in which they run.
    """

    target: Target
    activation_saving: float
    rows: tuple[Row, ...]

    @property
    def macs(self) -> int:
        """Multiply-accumulates of the network."""
        return sum(row.macs for row in self.rows)

    @property
    def mce_cycles(self) -> int:
        """Cycles of the MAC engine."""
        return sum(row.mce_cycles for row in self.rows)

    @property
    def ple_cycles(self) -> int:
        """Cycles of the vector engine."""
        return sum(row.ple_cycles for row in self.rows)

    @property
    def dram_bytes(self) -> int:
        """Bytes that cross the DRAM's bus, both ways."""
        return sum(row.dram_bytes for row in self.rows)

    @property
    def seconds(self) -> float:
        """Time for one frame."""
        return sum(row.cycles for row in self.rows) / self.target.clock_hz

    @property
    def fps(self) -> float:
        """Frames a second."""
        return 1 / self.seconds if self.seconds else math.inf

    @property
    def utilisation(self) -> float:
        """The share of the array's peak that the network's own MACs take; above 1 by Winograd."""
        peak = self.target.clock_hz * self.target.macs_per_cycle
        return self.macs * self.fps / peak if self.macs else 0.0

    @property
    def flagged(self) -> tuple[Row, ...]:
        """The passes that the target cannot run: their traffic is counted, their arithmetic not."""
        return tuple(row for row in self.rows if row.flag)

    def to_csv(self) -> str:
        """One line a pass, with a header; megabytes are 10⁶ bytes."""
        return "".join(
            ",".join(cell.replace(",", ";") for cell in line) + "\n"
            for line in (_COLUMNS, *self._cells())
        )

    def to_text(self) -> str:
        """An aligned table, the totals, and what the target cannot run."""
        align = "".join("<" if column in _WORDS else ">" for column in _COLUMNS)
        table = text_table(self._cells(), _COLUMNS, align)
        total = (
            f"{self.target.name}, activation saving {self.activation_saving:g}: "
            f"{self.seconds * 1e3:.3f} ms, {self.fps:.1f} FPS, {self.macs / 1e9:.3f} GMAC, "
            f"{self.mce_cycles / 1e6:.3f} Mcycles MCE, {self.dram_bytes / 1e6:.2f} MB DRAM, "
            f"utilisation {self.utilisation:.1%}"
        )
        warnings = [
            f"NOT SUPPORTED: {row.name} ({row.op}): {row.flag}; memory traffic only."
            for row in self.flagged
        ]
        return "\n".join([table, total, *warnings]) + "\n"

    def _cells(self) -> list[tuple[str, ...]]:
        return [
            (
                row.name,
                row.op,
                "×".join(map(str, row.shape[1:])),
                str(row.cascade),
                row.algorithm,
                f"{row.macs / 1e9:.3f}",
                f"{row.mce_cycles / 1e6:.4f}",
                f"{row.ple_cycles / 1e6:.4f}",
                f"{row.read_bytes / 1e6:.3f}",
                f"{row.write_bytes / 1e6:.3f}",
                f"{row.cycles / self.target.clock_hz * 1e3:.4f}",
                row.bound,
                row.flag,
            )
            for row in self.rows
        ]


def estimate(layers: Sequence[Layer], target: Target, *, activation_saving: float = 0.0) -> Report:
    """What `layers` cost on `target`, pass by pass.

    Args:
      layers: in an order in which they can run, of one image.
      target: the NPU.
      activation_saving: the share, in [0, 1), that the compression of intermediate tensors saves.

    Raises:
      InputError: no layers, several images, elements that the target does not compute with, or a
        saving outside its range.
    """
    if not 0 <= activation_saving < 1:
        raise InputError(f"activation_saving is {activation_saving}; it must lie in [0, 1).")
    if not layers:
        raise InputError("There are no layers to estimate; pass a network with at least one.")
    for layer in layers:
        if layer.bits != target.bits:
            raise InputError(
                f"Layer {layer.name!r} has {layer.bits}-bit tensors and {target.name} computes "
                f"with {target.bits}; convert the model to full INT8, inputs and outputs included."
            )
        if any(as_nhwc(shape)[0] != 1 for shape in (*layer.input_shapes, layer.output_shape)):
            raise InputError(
                f"Layer {layer.name!r} has a batch of several images; trace it with a batch of 1."
            )
    schedule = _Schedule(layers, target, activation_saving)
    return Report(target=target, activation_saving=activation_saving, rows=tuple(schedule.best()))


@dataclasses.dataclass(frozen=True)
class _Held:
    """A tensor in a cascade: its stripes in flight and its size."""

    slots: int
    height: int
    width: int
    channels: int

    def bytes(self, rows: int, columns: int) -> int:
        """SRAM for it when cut into `rows` × `columns` stripes."""
        slots = min(self.slots, rows * columns)
        height = round_up(ceil_div(self.height, rows), 8)
        width = round_up(ceil_div(self.width, columns), 8)
        return slots * height * width * self.channels


class _Schedule:
    """The search for the cascades of one network; private to `estimate`."""

    def __init__(self, layers: Sequence[Layer], target: Target, saving: float) -> None:
        self.target = target
        layers = requantised(layers)
        self.passes = [p for layer in layers for p in lower(layer, target)]
        self.shape = {p.output: p.output_shape for p in self.passes}
        for layer in layers:
            for name, shape in zip(layer.inputs, layer.input_shapes, strict=True):
                self.shape.setdefault(name, as_nhwc(shape))
        self.producer = {p.output: i for i, p in enumerate(self.passes)}
        self.readers: dict[str, list[int]] = {}
        for i, p in enumerate(self.passes):
            for name in dict.fromkeys(p.inputs):
                self.readers.setdefault(name, []).append(i)
        self.dram = {name: self._dram_bytes(name, saving) for name in self.shape}

    def _dram_bytes(self, name: str, saving: float) -> int:
        _, h, w, c = self.shape[name]
        if name not in self.producer or name not in self.readers:
            return h * w * c
        brick_h, brick_w, _ = self.target.brick
        return round(round_up(h, brick_h) * round_up(w, brick_w) * c * (1 - saving))

    def best(self) -> list[Row]:
        """The rows of the cascades with the least total time."""
        n = len(self.passes)
        cost: list[float] = [0.0] + [math.inf] * n
        chosen: list[tuple[int, tuple[int, int]]] = [(0, (1, 1))] * (n + 1)
        for first in range(n):
            for last in range(first, n):
                found = self._run(first, last)
                if found is None:
                    break
                cycles, stripes = found
                if cost[first] + cycles < cost[last + 1]:
                    cost[last + 1] = cost[first] + cycles
                    chosen[last + 1] = (first, stripes)
        runs = []
        end = n
        while end:
            first, stripes = chosen[end]
            runs.append((first, end - 1, stripes))
            end = first
        return [
            row
            for number, (first, last, stripes) in enumerate(reversed(runs))
            for row in self._rows(first, last, stripes, number)
        ]

    def _run(self, first: int, last: int) -> tuple[float, tuple[int, int]] | None:
        """The best stripes (in height, in width) of a cascade and its cycles; None if impossible."""
        alone = first == last
        run = self.passes[first : last + 1]
        if run[-1].is_copy or run[0].is_copy:
            return (self._cycles(first, last, (1, 1)), (1, 1)) if alone else None
        if not alone and run[-1].upscales:
            return None
        held = self._held(first, last)
        # A weight that fills the SRAM passes through it in groups of output channels.
        budget = self.target.sram_bytes
        weights = sum(p.weight_bytes for p in run)
        budget -= min(weights, budget // 2) if alone else weights
        rows = max(1, ceil_div(min(tensor.height for tensor in held), 8))
        columns = max(1, ceil_div(min(tensor.width for tensor in held), 8)) if alone else 1
        options = [
            (r, c)
            for c in _powers(columns)
            for r in _powers(rows)
            if sum(tensor.bytes(r, c) for tensor in held) <= budget
        ]
        if not options:
            if not alone:
                return None
            options = [(rows, columns)]
        return min((self._cycles(first, last, option), option) for option in options)

    def _held(self, first: int, last: int) -> list[_Held]:
        """The buffers that a cascade keeps in SRAM."""
        held = []
        for i in range(first, last + 1):
            p = self.passes[i]
            loads = [name for name in dict.fromkeys(p.inputs) if self._loads(name, i, first)]
            slots = [(name, 4 if p.reach else 2) for name in loads]
            after = self.passes[i + 1] if i < last else None
            if after is not None and p.output in after.inputs:
                slots.append((p.output, 3 if after.reach else 1))
            else:
                slots.append((p.output, 2))
            for name, count in slots:
                _, h, w, c = self.shape[name]
                held.append(_Held(count, h, w, round_up(c, self.target.brick[2])))
        return held

    def _loads(self, name: str, i: int, first: int) -> bool:
        """Whether pass `i` of a cascade loads the tensor: all but what the pass before it made."""
        return i == first or self.producer.get(name) != i - 1

    def _stores(self, name: str, i: int, last: int) -> bool:
        """Whether pass `i` of a cascade stores its output: all but what the next pass alone reads."""
        readers = self.readers.get(name)
        return i == last or readers != [i + 1]

    def _cycles(self, first: int, last: int, stripes: tuple[int, int]) -> float:
        return sum(self._pass(i, first, last, stripes)[0] for i in range(first, last + 1))

    def _rows(self, first: int, last: int, stripes: tuple[int, int], cascade: int) -> list[Row]:
        rows = []
        for i in range(first, last + 1):
            p = self.passes[i]
            cycles, bound, read, write = self._pass(i, first, last, stripes)
            rows.append(
                Row(
                    name=p.name,
                    op=p.op,
                    shape=p.output_shape,
                    cascade=cascade,
                    stripes=math.prod(stripes),
                    algorithm=p.algorithm,
                    macs=p.macs,
                    mce_cycles=p.mce_cycles,
                    ple_cycles=p.ple_cycles,
                    read_bytes=read,
                    write_bytes=write,
                    cycles=cycles,
                    bound=bound,
                    flag=p.flag,
                )
            )
        return rows

    def _pass(
        self, i: int, first: int, last: int, stripes: tuple[int, int]
    ) -> tuple[float, str, int, int]:
        """Cycles of pass `i` in a cascade, what binds, bytes read, bytes written."""
        p = self.passes[i]
        target = self.target
        rows, columns = stripes
        count = rows * columns
        # Borders in width are stored with each stripe; whole rows keep their neighbours in SRAM.
        border = 2 * target.brick[1] * (columns - 1) if p.reach else 0
        read = 0
        for name in dict.fromkeys(p.inputs):
            if not self._loads(name, i, first):
                continue
            size = self.dram[name]
            if border:
                size += size * border // self.shape[name][2]
            read += size
        write = self.dram[p.output] if self._stores(p.output, i, last) else 0
        weights = p.weight_bytes
        if p.is_copy:
            cycles = self._dma(read + weights, 1) + self._dma(write, 1)
            return cycles, "serial", read + weights, write
        # Part of a row costs a transfer for each row of bricks.
        chunks = count * (
            ceil_div(ceil_div(p.output_shape[1], rows), target.brick[0]) if columns > 1 else 1
        )
        ahead = 1.0 if count < (4 if p.reach else 2) else (2 if p.reach else 1) / count
        read_cycles = self._dma(read, chunks)
        write_cycles = self._dma(write, chunks)
        serial = ahead * read_cycles + self._dma(weights, 1) + write_cycles / count
        overhead = target.ple_stripe_cycles.get(p.kernel, target.stripe_cycles)
        least = target.stripe_minimum_cycles * count
        parts = {
            "mce": max(p.mce_cycles + target.stripe_cycles * count, least) if p.algorithm else 0,
            "ple": max(p.ple_cycles + overhead * count, least),
            "read": (1 - ahead) * read_cycles,
            "write": (1 - 1 / count) * write_cycles,
        }
        longest = max(parts, key=parts.__getitem__)
        bound = "serial" if serial > parts[longest] else longest
        return serial + parts[longest], bound, read + weights, write

    def _dma(self, size: int, stripes: int) -> float:
        """Cycles to transfer `size` bytes in `stripes` pieces."""
        if not size:
            return 0.0
        target = self.target
        cycles = size / target.dram_bytes_per_cycle + stripes * target.stripe_cycles
        return max(cycles, stripes * target.stripe_minimum_cycles)


@functools.cache
def _powers(limit: int) -> tuple[int, ...]:
    """1, 2, 4, ... and `limit` itself."""
    return (*(2**i for i in range(limit.bit_length()) if 2**i < limit), limit)
