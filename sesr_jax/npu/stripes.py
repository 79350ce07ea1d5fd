"""One pass cut into stripes: the ways to cut it, its bytes on chip, its time.

All cuts of a pass are costed at once: every figure here is an array with an entry a cut.

The time of a pass is ``serial transfers + max(loads, stores, MAC array, vector engine)``, each with
its overhead a stripe (Arm's Ethos-N driver stack 25.03, `EstimationUtils.cpp`; other targets fill in
what they have). Sizes of stripes are powers of two of a base, as that compiler has them.
"""

import dataclasses
import functools
import math
from collections.abc import Collection, Sequence
from typing import TypeAlias

import numpy as np

from sesr_jax.npu.blocks import BlockWork, in_blocks
from sesr_jax.npu.engines import Convolution, mac_cycles, round_up, vector_cycles
from sesr_jax.npu.passes import Pass
from sesr_jax.targets import Target

Array: TypeAlias = np.ndarray
_Number: TypeAlias = np.ndarray | float


@dataclasses.dataclass(frozen=True)
class Cuts:
    """Ways to cut a pass, as arrays of one length.

    Attributes:
      rows: of a stripe of input.
      columns: likewise.
      channels: of a stripe of output.
      block: an index into the target's blocks of accumulators.
      in_slots: stripes of input on chip at once.
      out_slots: stripes of output.
      weight_slots: stripes of weights.
      whole_output: whether the output gathers on chip to a whole tensor.
    """

    rows: Array
    columns: Array
    channels: Array
    block: Array
    in_slots: Array
    out_slots: Array
    weight_slots: Array
    whole_output: Array

    def __getitem__(self, index: Array) -> "Cuts":
        return Cuts(*(getattr(self, name)[index] for name in _CUTS))


_CUTS = tuple(field.name for field in dataclasses.fields(Cuts))


@dataclasses.dataclass(frozen=True)
class Times:
    """Cycles and bytes of a pass.

    Attributes:
      serial: transfers that nothing hides.
      read: transfers from DRAM beside the computation.
      write: likewise to DRAM.
      mac: of the MAC array, with its overheads.
      vector: likewise of the vector engine.
      read_bytes: from DRAM, weights among them.
      write_bytes: to DRAM.
      total: cycles of the pass.
      merit: what a schedule minimises: the same, and a price for the traffic.
    """

    serial: _Number
    read: _Number
    write: _Number
    mac: _Number
    vector: _Number
    read_bytes: _Number
    write_bytes: _Number
    total: Array
    merit: Array


@dataclasses.dataclass(frozen=True)
class StripedPass:
    """A pass on a target.

    Attributes:
      work: the pass.
      target: the NPU.
      saving: the share that compression saves of tensors between passes.
      wanted_slots: stripes of output that the passes which read it need at once.
      wanted_rows: more of each.
    """

    work: Pass
    target: Target
    saving: float
    wanted_slots: int
    wanted_rows: int

    @property
    def _input(self) -> tuple[int, int]:
        """Height and width of what is cut: the input's."""
        p = self.work
        return p.input_shapes[0][1:3] if p.inputs else p.output_shape[1:3]

    @property
    def _dense(self) -> bool:
        """Whether each output channel reads all input channels."""
        conv = self.work.conv
        return conv is not None and conv.groups == 1

    # The ways to cut.

    def cuts(self, *, alone: bool) -> Cuts:
        """Every way to cut the pass: alone, or as the first of a cascade."""
        target, p = self.target, self.work
        h, w = self._input
        channels = p.output_shape[3]
        if p.engine == "copy" or target.streams:
            return self.stripes_of(h)
        blocks = list(enumerate(target.vector.blocks))
        if p.conv is None:
            blocks = [(target.vector.default_block, (1, 1))]
        scale_h, scale_w = p.output_shape[1] / h, p.output_shape[2] / w
        two_way = alone and target.stripes.columns and not p.appended
        deep = alone and target.stripes.depths and self._dense and not p.appended
        shapes: set[tuple[int, int, int, int, bool]] = set()
        for block, (block_w, block_h) in blocks:
            base_h = _base(target.stripes.base[0], block_h, scale_h)
            base_w = _base(target.stripes.base[1], block_w, scale_w)
            rows = _exclusive(h, base_h)
            columns = _exclusive(w, base_w) if target.stripes.columns else ()
            shapes |= {(r, w, channels, block, False) for r in (*rows, h)}
            shapes |= {(h, c, channels, block, False) for c in columns}
            if not alone:
                shapes |= {(r, w, channels, block, True) for r in rows}
            grid = [
                (min(r, h), min(c, w))
                for r in _inclusive(h, base_h)
                for c in (_inclusive(w, base_w) if target.stripes.columns else (w,))
            ]
            if two_way:
                shapes |= {(r, c, channels, block, False) for r, c in grid}
            if deep and channels > target.mac.outputs:
                step = target.mac.outputs
                shapes |= {(h, w, depth, block, False) for depth in _exclusive(channels, step)}
                shapes |= {(r, c, step, block, False) for r, c in grid}
        # Of equals, the smallest stripes in the smallest blocks are taken.
        return self._with_slots(np.array(sorted(shapes), int).T, alone=alone)

    def _with_slots(self, table: Array, *, alone: bool) -> Cuts:
        """The cuts in `table` with every number of stripes on chip that makes a difference."""
        h, w = self._input
        rows, columns, channels, block, whole = table
        n_h, n_w, n_c = -(-h // rows), -(-w // columns), -(-self.work.output_shape[3] // channels)
        needed = 1 + sum(n > 0 for n in self.work.reach)
        # Columns go before rows.
        least = np.minimum(needed, np.where(n_w > 1, n_w, n_h))
        found = []
        for more in (0, 1) if self.work.conv is not None else (0,):
            in_slots = np.minimum(least + more if self.work.conv else 2, n_h * n_w)
            for out in (1, 2) if alone else (self.wanted_slots,):
                out_slots = np.where(whole, 1, np.minimum(out, n_h * n_w * n_c))
                for weights in (1, 2) if alone else (1,):
                    keep = (in_slots >= least + more) | (more == 0)
                    keep &= (out_slots == out) | (not alone)
                    keep &= (n_c > 1) | (weights == 1)
                    slots = np.full_like(rows, weights)
                    cuts = Cuts(
                        rows, columns, channels, block, in_slots, out_slots, slots, whole > 0
                    )
                    found.append(cuts[np.flatnonzero(keep)])
        return Cuts(*(np.concatenate([getattr(cuts, name) for cuts in found]) for name in _CUTS))

    def stripes_of(self, rows: int) -> Cuts:
        """The one way to cut the pass into stripes of so many rows of input, or not at all."""
        h, w = self._input
        one = np.ones(1, int)
        slots = one if rows >= h else self.wanted_slots * one
        channels = self.work.output_shape[3] * one
        return Cuts(min(rows, h) * one, w * one, channels, 0 * one, one, slots, one, one > 1)

    def continued(self, rows: Array, columns: Array, block: Array, slots: int) -> Cuts:
        """The cuts of a pass in a cascade, whose input comes in stripes of `rows` × `columns`.

        Args:
          rows: of a stripe.
          columns: of a stripe.
          block: that the cascade has chosen.
          slots: of the output where the cascade ends here; 0 where it goes on.
        """
        target = self.target
        h, w = self._input
        depth = self.work.output_shape[3]
        whole = (rows >= h) & (columns >= w)
        channels = np.full_like(rows, depth)
        if slots and target.stripes.depths and self._dense and depth > target.mac.outputs:
            channels = np.where(whole, target.mac.outputs, channels)
        if slots:
            out_slots = np.minimum(slots, -(-h // rows) * -(-w // columns) * -(-depth // channels))
        else:
            out_slots = np.where(whole, 1, self.wanted_slots)
        ones = np.ones_like(rows)
        return Cuts(rows, columns, channels, block, ones, out_slots, ones, ones > 1)

    def output_stripe(self, cuts: Cuts) -> tuple[Array, Array]:
        """Rows and columns of a stripe of what the pass leaves on chip."""
        _, out_h, out_w, _ = self.work.output_shape
        h, w = self._input
        rows = np.minimum(-(-np.minimum(cuts.rows, h) * out_h // h), out_h)
        columns = np.minimum(-(-np.minimum(cuts.columns, w) * out_w // w), out_w)
        return np.where(cuts.whole_output, out_h, rows), np.where(cuts.whole_output, out_w, columns)

    # Bytes on chip.

    def input_bytes(self, cuts: Cuts, loads: Sequence[str]) -> _Number:
        """For the stripes of the tensors that it loads."""
        total: _Number = 0
        if self.target.streams:
            return 0 * cuts.rows
        for name in loads:
            _, h, w, c = self._shape(name)
            rows, columns = np.minimum(cuts.rows, h), np.minimum(cuts.columns, w)
            n_h, n_w = -(-h // rows), -(-w // columns)
            border = sum(self._border(n_h, n_w))
            slots = cuts.in_slots if self.work.conv is not None else 2
            slot = self._on_chip(rows + border, columns, c)
            last = self._on_chip(h - (n_h - 1) * rows, w - (n_w - 1) * columns, c)
            whole = (n_h * n_w <= slots) & (border == 0)
            total = total + self._granular(
                np.where(whole, (n_h * n_w - 1) * slot + last, slots * slot)
            )
        return total

    def output_bytes(self, cuts: Cuts, *, stores: bool = False) -> Array:
        """For the stripes of its output, which may go to DRAM."""
        if stores and self.target.streams:
            return 0 * cuts.rows
        rows, columns = self.output_stripe(cuts)
        rows = rows + self.wanted_rows * (cuts.out_slots > 1)
        return self._granular(cuts.out_slots * self._on_chip(rows, columns, cuts.channels))

    def weight_bytes(self, cuts: Cuts) -> Array:
        """For its weights."""
        if self.target.streams:
            return 0 * cuts.rows
        depth = self.work.output_shape[3]
        size = self.work.weight_bytes * np.minimum(cuts.channels, depth) // depth
        return self._granular(cuts.weight_slots * size)

    def kept_bytes(self, rows: int) -> int:
        """For its weights in stripes of so many rows, where the array works in blocks."""
        share = 0.0 if self.work.conv is None else 1.0
        if self.work.conv is not None and self.target.streams:
            share = in_blocks(self.target, self.work.conv, rows).weight_share
        return math.ceil(self.work.weight_bytes * share)

    def whole_bytes(self, own: Collection[str]) -> int:
        """For all that it reads and writes at once; the network's `own` input and output have no bricks."""
        total = self.kept_bytes(self.work.output_shape[1])
        names = (*self.work.inputs, self.work.output)
        for name, shape in zip(
            names, (*self.work.input_shapes, self.work.output_shape), strict=True
        ):
            _, h, w, c = shape
            if name in own:
                total += h * w * c * self.target.bits // 8
            else:
                total += int(self._on_chip(np.array(h), np.array(w), c))
        return total

    def _on_chip(self, rows: Array, columns: Array, channels: Array | int) -> Array:
        height, width, depth = self.target.memory.sram_brick
        size = -(-rows // height) * height * (-(-columns // width) * width)
        return size * (-(-channels // depth) * depth * (self.target.bits // 8))

    def _granular(self, size: Array) -> Array:
        granule = self.target.memory.sram_granule
        return -(-size // granule) * granule

    def _border(self, n_h: Array, n_w: Array) -> tuple[Array, Array]:
        """Rows above and below that are loaded again with a stripe: those not kept from its neighbours."""
        both = (n_h > 1) & (n_w > 1)
        step = self.target.memory.border
        before, after = (round_up(n, step) if n else 0 for n in self.work.reach)
        return both * before, both * after

    def bricked(self, cuts: Cuts, loads: Sequence[str]) -> frozenset[str]:
        """The tensors that this cut (one alone) can only transfer in bricks."""
        if not self.target.memory.converts_input or self.work.engine == "copy":
            return frozenset()
        h, w = self._input
        border = sum(self._border(-(-h // cuts.rows), -(-w // cuts.columns)))
        names = set(loads) if np.any(border) else set()
        _, _, width, depth = self.work.output_shape
        if np.any(cuts.channels < depth) and width > 1:
            names.add(self.work.output)
        return frozenset(names)

    # Time.

    def times(
        self,
        cuts: Cuts,
        *,
        loads: Sequence[str],
        stores: bool,
        plain: frozenset[str] = frozenset(),
    ) -> Times:
        """Cycles and bytes.

        Args:
          cuts: of the pass.
          loads: the inputs that come from DRAM.
          stores: whether the output goes there.
          plain: the tensors that lie there without bricks.
        """
        p, target = self.work, self.target
        h, w = self._input
        n_h, n_w = -(-h // cuts.rows), -(-w // cuts.columns)
        n_c = -(-p.output_shape[3] // cuts.channels)
        count = n_h * n_w * n_c
        blocks = self.blocks(cuts, loads, stores=stores)
        read: _Number = 0.0
        serial: _Number = 0.0
        write: _Number = 0.0
        size: _Number = 0.0
        written: _Number = 0.0
        longest: _Number = 0.0
        if loads:
            again = np.where((n_h * n_w > 1) & self._dense, n_c, 1)
            parts = [self._load(cuts, name, n_h, n_w, name in plain) for name in loads]
            if p.conv is None and p.joined and len(loads) == len(p.inputs) == 1:
                parts *= 2
            if blocks is not None and loads[0] == p.inputs[0]:
                again_read = blocks.reads * self._bursts(blocks.read_run, loads[0] in plain)
                parts[0] = (parts[0][0] * again_read, *parts[0][1:])
            size = sum(again * whole for whole, _, _ in parts)
            together = np.maximum if p.conv is not None else np.add
            longest = again * functools.reduce(together, (whole for whole, _, _ in parts))
            ahead = sum(np.minimum(lead, again * whole) for whole, lead, _ in parts)
            pieces = sum(pieces for _, _, pieces in parts)
            read, serial = self._transfer(size, n_h * n_w * again * pieces, ahead)
        if p.weight_bytes:
            first = np.where(cuts.weight_slots > 1, p.weight_bytes / n_c, p.weight_bytes)
            more, wait = self._transfer(p.weight_bytes, n_c, first)
            read, serial, size = read + more, serial + wait, size + p.weight_bytes
        if stores:
            written, last, pieces = self._store(cuts, p.output in plain)
            if blocks is not None:
                written = written * self._bursts(blocks.write_run, p.output in plain)
            write, wait = self._transfer(written, count * pieces, last)
            serial = serial + wait
        mac, vector = self._compute(cuts, count)
        if blocks is not None:
            edge = blocks.edge_cycles + blocks.edge_elements * p.patch_cycles / target.vector.lanes
            mac = float(blocks.mac_cycles + edge)
        if p.engine == "copy":
            serial, read, write = serial + read + write, 0.0, 0.0
        bus = np.maximum(read, write) if target.memory.duplex else read + write
        if target.memory.read_bytes_per_cycle and p.engine != "copy":  # copies are the host's
            read = np.maximum(read, longest / target.memory.read_bytes_per_cycle)
            bus = np.maximum(bus, read)
        if blocks is not None:
            bus = np.maximum(bus, blocks.scale_cycles)
        total = serial + np.maximum(np.maximum(mac, vector), bus) + target.stripes.layer_cycles
        merit = total + target.stripes.byte_cycles * (size + written)
        return Times(serial, read, write, mac, vector, size, written, total, merit)

    def blocks(self, cuts: Cuts, loads: Sequence[str], *, stores: bool) -> BlockWork | None:
        """What the pass takes in blocks, where the array works in such; there is one cut then."""
        p = self.work
        if p.conv is None or not self.target.streams:
            return None
        alone = stores and p.inputs[0] in loads
        rows = p.output_shape[1] if alone else np.max(self.output_stripe(cuts)[0], initial=1)
        return in_blocks(self.target, p.conv, int(rows))

    def _bursts(self, run: int, plain: bool) -> float:
        """Bytes transferred for each of a tensor of which `run` lie together."""
        return max(1.0, self.target.memory.burst_bytes / run) if plain else 1.0

    def _compute(self, cuts: Cuts, count: Array) -> tuple[_Number, _Number]:
        """Cycles of both engines, with their overheads a stripe."""
        stripes = self.target.stripes
        mac: _Number = 0.0
        vector: _Number = 0.0
        if self.work.conv is not None:
            mac = _mac_by_block(self.target, self.work.conv)[cuts.block] + count * stripes.cycles
            mac = np.maximum(mac, count * stripes.minimum_cycles)
        if self.work.patch_cycles:
            vector = self.vector_cycles(cuts) + count * self.work.stripe_cycles
            vector = np.maximum(vector, count * stripes.minimum_cycles)
        return mac, vector

    def vector_cycles(self, cuts: Cuts) -> Array:
        """Of the vector engine, without overhead."""
        p = self.work
        columns = cuts.columns * p.upscales
        block = None if p.conv is None else cuts.block
        return vector_cycles(self.target, p.patch_cycles, p.vector_map, block, columns)

    def _shape(self, name: str) -> tuple[int, int, int, int]:
        return self.work.input_shapes[self.work.inputs.index(name)]

    def _load(
        self, cuts: Cuts, name: str, n_h: Array, n_w: Array, plain: bool
    ) -> tuple[Array, Array, Array]:
        """Bytes of a tensor with its borders, those that computation waits for, transfers a stripe."""
        _, h, w, c = self._shape(name)
        rows, columns = np.minimum(cuts.rows, h), np.minimum(cuts.columns, w)
        saving, pieces = self._layout(rows, columns, np.full_like(rows, c), (h, w, c), plain)
        height = h + sum(self._border(n_h, n_w)) * (n_h - 1)
        whole = dram_bytes(self.target, saving, height, w, c, plain=plain)
        overlaps = self.work.overlaps & ((n_h > 1) | (n_w > 1))
        stripe = dram_bytes(self.target, saving, rows, columns, c, plain=plain)
        lead = np.minimum(np.where(overlaps, 2, 1) * stripe, whole)
        slots = cuts.in_slots if self.work.conv is not None else 2
        return whole, np.where(slots >= np.where(overlaps, 4, 2), lead, whole), pieces

    def _store(self, cuts: Cuts, plain: bool) -> tuple[Array, Array, Array]:
        """Bytes of the output, those that are stored after all is computed, transfers a stripe."""
        _, h, w, c = self.work.output_shape
        rows, columns = self.output_stripe(cuts)
        channels = np.minimum(cuts.channels, c)
        saving, pieces = self._layout(rows, columns, channels, (h, w, c), plain)
        whole = dram_bytes(self.target, saving, np.full_like(rows, h), w, c, plain=plain)
        last = dram_bytes(self.target, saving, rows, columns, channels, plain=plain)
        return whole, np.where(cuts.out_slots >= 2, np.minimum(last, whole), whole), pieces

    def _layout(
        self, rows: Array, columns: Array, channels: Array, whole: tuple[int, int, int], plain: bool
    ) -> tuple[Array, Array]:
        """What compression saves of a tensor cut into such stripes, and the transfers a stripe."""
        memory = self.target.memory
        ones = np.ones_like(rows)
        if plain:
            return 0.0 * ones, ones
        parts = tuple(zip((rows, columns, channels), whole, strict=True))
        compressed = ones < 0
        for cell in memory.cells:
            fits = ones > 0
            for (part, size), side in zip(parts, cell, strict=True):
                fits = fits & ((part >= size) | (part % side == 0))
            compressed = compressed | fits
        height, width, depth = memory.sram_brick
        # The DMA steps over the other channels' bricks where a stripe is one brick deep.
        deep = (channels < whole[2]) & (channels > depth)
        down = np.where(deep | (columns < whole[1]), -(-rows // height), 1)
        pieces = down * np.where(deep, -(-columns // width), 1)
        return np.where(compressed, self.saving, 0.0), np.where(compressed, 1, pieces)

    def _transfer(self, size: _Number, count: _Number, serial: _Number) -> tuple[Array, Array]:
        """Cycles of a transfer in `count` pieces: beside the computation, and not."""
        cycles = transfer_cycles(self.target, size, count)
        alone = cycles * (0.0 if self.target.streams else serial / size)
        return cycles - alone, alone


def dram_bytes(
    target: Target,
    saving: Array | float,
    rows: Array | int,
    columns: Array | int,
    channels: Array | int,
    *,
    plain: bool,
) -> Array:
    """Bytes of (a part of) a tensor in DRAM; one that is `plain` has no bricks and is not compressed."""
    element = target.bits // 8
    if plain:
        return np.asarray(rows * columns * channels * (1.0 * element))
    height, width, depth = target.memory.dram_brick
    size = -(-rows // height) * height * (-(-columns // width) * width)
    return np.asarray(size * (-(-channels // depth) * depth) * (element * (1 - saving)))


def transfer_cycles(target: Target, size: _Number, count: _Number) -> Array:
    """Cycles to transfer `size` bytes in `count` pieces."""
    memory = target.memory
    cycles = size / memory.dram_bytes_per_cycle + count * memory.transfer_cycles
    return np.maximum(cycles, count * memory.transfer_minimum_cycles)


@functools.lru_cache(maxsize=1 << 12)
def _mac_by_block(target: Target, conv: Convolution) -> Array:
    return np.array([mac_cycles(target, conv, block)[0] for block in target.vector.blocks])


def _base(base: int, block: int, scale: float) -> int:
    """The least stripe of input: whole blocks and whole bricks, of input and of output."""
    return max(base, math.ceil(block / max(1.0, scale)), math.ceil(base / scale))


@functools.cache
def _exclusive(size: int, base: int) -> tuple[int, ...]:
    """Powers of two of `base` that are less than `size`."""
    return tuple(base << n for n in range(40) if base << n < size)


@functools.cache
def _inclusive(size: int, base: int) -> tuple[int, ...]:
    """Powers of two of `base`, and the first multiple that reaches `size`."""
    last = -(-size // base)
    return (*(base << n for n in range(last.bit_length()) if 1 << n < last), last * base)
