"""When passes run, and what stays on chip: the search for the fastest schedule.

    runs = schedule(lower(layers, target), target, saving=0.0)

A tensor is cut into stripes. A pass alone loads stripes from DRAM, computes, and stores stripes; it
may cut rows, columns and output channels. A *cascade* is a run of passes through which stripes flow
on chip: it cuts rows or columns, or nothing at all where whole tensors fit. It may hold a residual:
every tensor made inside must be read inside, but for the last, and a pass inside may load another
tensor. Three stripes of a tensor are kept before a pass that reads beyond its own, one before any
other; one more on either end lets transfers run beside the computation. Once a whole tensor lies on
chip, nothing before it is needed any more.

The time of a pass is ``serial transfers + max(loads, stores, MAC array, vector engine)``, each with
its overhead a stripe (Arm's Ethos-N driver stack 25.03, `EstimationUtils.cpp`; other targets fill in
what they have). Cuts are powers of two of a base, as that compiler has them. All cuts of a cascade
are costed at once as arrays; dynamic programming over the runs takes the best.

Like that compiler's, the search plans as if the network's own input and output lay in bricks as
intermediate tensors do, and pays for the conversion afterwards where they do not.
"""

import dataclasses
import functools
import math
from collections.abc import Sequence

import numpy as np

from sesr_jax.npu.engines import mac_cycles, round_up, vector_cycles
from sesr_jax.npu.passes import Pass
from sesr_jax.npu.target import Target

Array = np.ndarray


@dataclasses.dataclass(frozen=True, kw_only=True)
class Cost:
    """What one pass costs in its schedule.

    Attributes:
      index: of the pass; of the one that it serves, for a conversion.
      conversion: "" or the tensor that is put into another layout.
      cascade: the number of the run to which it belongs.
      stripes: into which the map is cut: in height, in width, in channels.
      algorithm: of the MAC array; "" where it rests.
      mac_cycles: of the MAC array, without overhead.
      vector_cycles: of the vector engine, likewise.
      read_bytes: from DRAM, weights among them.
      write_bytes: to DRAM.
      cycles: that the pass takes.
      parts: cycles by what takes them: "serial", "read", "write", "mac", "vector".
      sram_bytes: in use while it runs.
    """

    index: int
    conversion: str = ""
    cascade: int
    stripes: tuple[int, int, int]
    algorithm: str
    mac_cycles: int
    vector_cycles: int
    read_bytes: int
    write_bytes: int
    cycles: float
    parts: dict[str, float]
    sram_bytes: int


@dataclasses.dataclass(frozen=True)
class _Cuts:
    """Ways to cut a pass, as arrays of one length; `block` is an index into the target's blocks."""

    rows: Array
    columns: Array
    channels: Array
    block: Array
    in_slots: Array
    out_slots: Array
    weight_slots: Array
    whole_output: Array

    def __getitem__(self, index: Array) -> "_Cuts":
        return _Cuts(*(getattr(self, f.name)[index] for f in dataclasses.fields(self)))


@dataclasses.dataclass(frozen=True)
class _Times:
    """Cycles and bytes of a pass, an entry a cut."""

    serial: Array
    read: Array
    write: Array
    mac: Array
    vector: Array
    read_bytes: Array
    write_bytes: Array
    stripes: tuple[Array, Array, Array]
    total: Array


@dataclasses.dataclass(frozen=True)
class _Run:
    """A cascade: its passes, the best cut of each and its memory."""

    first: int
    last: int
    cycles: float
    cuts: tuple[_Cuts, ...]
    sram: tuple[int, ...]


def schedule(passes: Sequence[Pass], target: Target, *, saving: float) -> list[Cost]:
    """The costs of the passes in the fastest schedule found, in the order in which they run.

    Args:
      passes: of one network, in an order in which they can run.
      target: the NPU.
      saving: the share that compression saves of intermediate tensors.
    """
    return _Search(passes, target, saving).best()


class _Search:
    """The state of one search; private to `schedule`."""

    def __init__(self, passes: Sequence[Pass], target: Target, saving: float) -> None:
        self.target = target
        self.passes = passes
        self.element = target.bits // 8
        self.saving = saving if target.memory.compresses else 0.0
        self.shape = {p.output: p.output_shape for p in passes}
        self.producer = {p.output: i for i, p in enumerate(passes)}
        self.readers: dict[str, list[int]] = {}
        for i, p in enumerate(passes):
            for name in dict.fromkeys(p.inputs):
                self.readers.setdefault(name, []).append(i)
                self.shape.setdefault(name, p.input_shapes[p.inputs.index(name)])
        self._alone: dict[tuple[object, ...], tuple[float, _Cuts, int]] = {}

    def best(self) -> list[Cost]:
        """Dynamic programming over the runs."""
        n = len(self.passes)
        cost = [math.inf] * n + [0.0]
        chosen: list[_Run | None] = [None] * n
        for first in reversed(range(n)):
            for run in self._runs(first):
                cycles = run.cycles + cost[run.last + 1]
                if cycles < cost[first]:
                    cost[first], chosen[first] = cycles, run
        costs: list[Cost] = []
        first, number = 0, 0
        while first < n:
            run = chosen[first]
            assert run is not None
            costs += self._costs(run, number)
            first, number = run.last + 1, number + 1
        return costs

    # The runs that start at a pass.

    def _runs(self, first: int) -> list[_Run]:
        runs = [self._lone_run(first)]
        if self.target.stripes.cascades > 1 and self.passes[first].engine != "copy":
            runs += self._cascades(first)
        return runs

    def _lone_run(self, index: int) -> _Run:
        p = self.passes[index]
        key = (*(getattr(p, name) for name in _COSTLY), *(self.shape[name] for name in p.inputs))
        if key not in self._alone:
            self._alone[key] = self._best_alone(p)
        cycles, cuts, sram = self._alone[key]
        return _Run(index, index, cycles, (cuts,), (sram,))

    def _best_alone(self, p: Pass) -> tuple[float, _Cuts, int]:
        cuts = self._cuts(p, alone=True)
        sram = self._input_bytes(p, cuts, p.inputs) + self._output_bytes(p, cuts)
        sram = sram + self._weight_bytes(p, cuts) + self._programs([p])
        fits = np.flatnonzero(sram <= self.target.memory.sram_bytes)
        if not fits.size:  # a map so wide that no stripe fits: as the finest cut
            fits = np.array([int(np.argmin(sram))])
        times = self._times(p, cuts[fits], loads=p.inputs, stores=True)
        best = int(np.argmin(times.total))
        index = fits[[best]]
        return float(times.total[best]), cuts[index], int(sram[index[0]])

    def _cascades(self, first: int) -> list[_Run]:
        """The best cascade of every length that starts at `first`."""
        target, runs = self.target, []
        p = self.passes[first]
        cuts = self._cuts(p, alone=False)
        if not cuts.rows.size:
            return []
        held = self._input_bytes(p, cuts, p.inputs)
        weights = self._weight_bytes(p, cuts)
        live = {p.output: self._output_bytes(p, cuts)}
        sram = held + weights + live[p.output] + self._programs([p])
        times = self._times(p, cuts, loads=p.inputs, stores=False)
        total, path, used = times.total, [cuts], [sram]
        fits = sram <= target.memory.sram_bytes
        held = np.where(self._whole(p, cuts), 0, held + weights)
        last_start = min(len(self.passes), first + target.stripes.cascades)
        for i in range(first + 1, last_start):
            p = self.passes[i]
            inside = [name for name in dict.fromkeys(p.inputs) if name in live]
            if p.engine == "copy" or not inside or not fits.any():
                break
            before = path[self.producer[inside[0]] - first]
            loads = tuple(name for name in dict.fromkeys(p.inputs) if name not in live)
            done = [name for name in inside if self.readers[name][-1] == i]
            kernels = self._programs(self.passes[first : i + 1])
            for slots in (2, 1, 0):  # of the output where the cascade ends here; 0 where it goes on
                end = slots > 0
                cut = self._continued(p, self.passes[self.producer[inside[0]]], before, slots)
                good = fits
                for name in inside[1:]:
                    source = self.producer[name]
                    rows, columns = self._output_stripe(self.passes[source], path[source - first])
                    good = good & (rows == cut.rows) & (columns == cut.columns)
                out = self._output_bytes(p, cut)
                extra = self._input_bytes(p, cut, loads) + self._weight_bytes(p, cut)
                sram = held + sum(live.values()) + out + extra + kernels
                good = good & (sram <= target.memory.sram_bytes)
                times = self._times(p, cut, loads=loads, stores=end)
                if end:
                    if len(done) == len(live) and good.any():
                        cycles = np.where(good, total + times.total, math.inf)
                        best = int(np.argmin(cycles))
                        runs.append(
                            self._found(
                                first, i, float(cycles[best]), [*path, cut], [*used, sram], best
                            )
                        )
                    continue
                fits, total = good, total + times.total
                path, used = [*path, cut], [*used, sram]
                moved = sum(live.pop(name) for name in done)
                held = np.where(self._whole(p, cut), 0, held + moved + extra)
                live[p.output] = out
        return runs

    def _found(
        self, first: int, last: int, cycles: float, path: list[_Cuts], used: list[Array], best: int
    ) -> _Run:
        index = np.array([best])
        return _Run(
            first,
            last,
            cycles,
            tuple(cuts[index] for cuts in path),
            tuple(int(np.broadcast_to(sram, path[0].rows.shape)[best]) for sram in used),
        )

    # Cuts.

    def _cuts(self, p: Pass, *, alone: bool) -> _Cuts:
        """Every way to cut a pass that loads its inputs: alone, or as the first of a cascade."""
        target = self.target
        if p.engine == "copy":
            _, h, w, _ = self.shape[p.inputs[0]] if p.inputs else p.output_shape
            one = np.ones(1, int)
            return _Cuts(one * h, one * w, one * p.output_shape[3], 0 * one, one, one, one, one > 1)
        _, h, w, _ = self.shape[p.inputs[0]]
        channels = p.output_shape[3]
        blocks = list(enumerate(target.vector.blocks))
        if p.work is None:
            blocks = [(target.vector.default_block, (1, 1))]
        dense = p.work is not None and not p.work.depthwise and p.work.groups == 1
        shapes: list[tuple[int, int, int, int, bool]] = []
        free = alone and not p.appended
        for number, (block_w, block_h) in blocks:
            scale_h, scale_w = p.output_shape[1] / h, p.output_shape[2] / w
            base_h = _base(target.stripes.base[0], block_h, scale_h)
            base_w = _base(target.stripes.base[1], block_w, scale_w)
            rows, columns = _exclusive(h, base_h), _exclusive(w, base_w)
            shapes.append((h, w, channels, number, False))
            shapes += [(r, w, channels, number, False) for r in rows]
            if target.stripes.columns:
                shapes += [(h, c, channels, number, False) for c in columns]
            if not alone:
                shapes += [(r, w, channels, number, True) for r in rows]
            grid = [
                (min(r, h), min(c, w))
                for r in _inclusive(h, base_h)
                for c in (_inclusive(w, base_w) if target.stripes.columns else (w,))
            ]
            if free and target.stripes.columns:
                shapes += [(r, c, channels, number, False) for r, c in grid]
            if free and target.stripes.depths and dense:
                step = target.mac.outputs
                shapes += [(h, w, d, number, False) for d in _exclusive(channels, step)]
                if channels > step:
                    shapes += [(r, c, step, number, False) for r, c in grid]
        # Of equals, the smallest stripes in the smallest blocks are taken.
        table = np.array(sorted(shapes), int).T
        rows_, columns_, depths = table[0], table[1], table[2]
        n_h, n_w, n_c = -(-h // rows_), -(-w // columns_), -(-channels // depths)
        least = self._least_slots(p, n_h, n_w)
        options = [(a, b, c) for a in (0, 1) for b in ((1, 2) if alone else (1,)) for c in (1, 2)]
        found = []
        for more, out, weight in options:
            if p.work is None and more:
                continue
            in_slots = np.full_like(rows_, 2) if p.work is None else least + more
            in_slots = np.minimum(in_slots, n_h * n_w)
            if alone:
                out_slots = np.minimum(out, n_h * n_w * n_c)
            else:
                out_slots = np.where(table[4], 1, np.minimum(self._wanted_slots(p), n_h * n_w))
            keep = (weight == 1) | (n_c > 1)
            if more:
                keep &= in_slots > least
            if out == 2:
                keep &= n_h * n_w * n_c > 1
            weights = np.full_like(rows_, weight)
            whole = table[4].astype(bool)
            found.append(
                _Cuts(rows_, columns_, depths, table[3], in_slots, out_slots, weights, whole)[keep]
            )
        return _Cuts(
            *(np.concatenate([getattr(cuts, f.name) for cuts in found]) for f in dataclasses.fields(_Cuts))
        )

    def _continued(self, p: Pass, source: Pass, before: _Cuts, slots: int) -> _Cuts:
        """The cuts of a pass that takes its input from `source`, cut as `before`."""
        end = slots > 0
        target = self.target
        _, h, w, _ = source.output_shape
        rows, columns = self._output_stripe(source, before)
        whole = (rows >= h) & (columns >= w)
        channels = np.full_like(rows, p.output_shape[3])
        dense = p.work is not None and not p.work.depthwise and p.work.groups == 1
        if end and target.stripes.depths and dense and p.output_shape[3] > target.mac.outputs:
            channels = np.where(whole, target.mac.outputs, channels)
        if end:
            count = -(-h // rows) * -(-w // columns) * -(-p.output_shape[3] // channels)
            out_slots = np.minimum(slots, count)
        else:
            out_slots = np.where(whole, 1, self._wanted_slots(p))
        ones = np.ones_like(rows)
        return _Cuts(rows, columns, channels, before.block, ones, out_slots, ones, ones > 1)

    def _output_stripe(self, p: Pass, cuts: _Cuts) -> tuple[Array, Array]:
        """Rows and columns of a stripe of what a pass writes."""
        _, out_h, out_w, _ = p.output_shape
        _, h, w, _ = self.shape[p.inputs[0]]
        rows = np.where(cuts.rows >= h, out_h, np.minimum(-(-cuts.rows * out_h // h), out_h))
        columns = np.where(cuts.columns >= w, out_w, np.minimum(-(-cuts.columns * out_w // w), out_w))
        return np.where(cuts.whole_output, out_h, rows), np.where(cuts.whole_output, out_w, columns)

    def _whole(self, p: Pass, cuts: _Cuts) -> Array:
        """Whether the whole output lies on chip."""
        rows, columns = self._output_stripe(p, cuts)
        return (rows >= p.output_shape[1]) & (columns >= p.output_shape[2])

    def _least_slots(self, p: Pass, n_h: Array, n_w: Array) -> Array:
        """Stripes of input that must lie on chip at once; columns go before rows."""
        needed = 1 + sum(n > 0 for n in p.reach)
        return np.where(n_w > 1, np.minimum(needed, n_w), np.minimum(needed, n_h))

    def _wanted_slots(self, p: Pass) -> int:
        """Stripes of output to keep for the passes that read it."""
        readers = self.readers.get(p.output, [])
        if len(readers) != 1:
            return 3
        return 1 + sum(n > 0 for n in self.passes[readers[0]].reach)

    # On-chip bytes.

    def _bytes(self, rows: Array, columns: Array, channels: Array | int) -> Array:
        height, width, depth = self.target.memory.sram_brick
        return (
            -(-rows // height) * height * (-(-columns // width) * width)
        ) * (-(-channels // depth) * depth * self.element)

    def _granular(self, size: Array) -> Array:
        granule = self.target.memory.sram_granule
        return -(-size // granule) * granule

    def _input_bytes(self, p: Pass, cuts: _Cuts, loads: Sequence[str]) -> Array:
        total = np.zeros_like(cuts.rows)
        for name in dict.fromkeys(loads):
            _, h, w, c = self.shape[name]
            rows, columns = np.minimum(cuts.rows, h), np.minimum(cuts.columns, w)
            n_h, n_w = -(-h // rows), -(-w // columns)
            top, bottom = self._border(p, n_h, n_w)
            slots = np.full_like(rows, 2) if p.work is None else cuts.in_slots
            slot = self._bytes(rows + top + bottom, columns, c)
            edge = self._bytes(h - (n_h - 1) * rows, w - (n_w - 1) * columns, c)
            all_fit = (n_h * n_w <= slots) & (top + bottom == 0)
            total = total + self._granular(
                np.where(all_fit, (n_h * n_w - 1) * slot + edge, slots * slot)
            )
        return total

    def _output_bytes(self, p: Pass, cuts: _Cuts) -> Array:
        rows, columns = self._output_stripe(p, cuts)
        size = cuts.out_slots * self._bytes(rows, columns, cuts.channels)
        return self._granular(size)

    def _weight_bytes(self, p: Pass, cuts: _Cuts) -> Array:
        size = p.weight_bytes * np.minimum(cuts.channels, p.output_shape[3]) // p.output_shape[3]
        return self._granular(cuts.weight_slots * size)

    def _programs(self, passes: Sequence[Pass]) -> int:
        kernels = {p.patch_cycles for p in passes if p.patch_cycles}
        return len(kernels) * self.target.vector.program_bytes

    # Time.

    def _border(self, p: Pass, n_h: Array, n_w: Array) -> tuple[Array, Array]:
        """Rows of the stripes above and below that are loaded again with a stripe."""
        both = (n_h > 1) & (n_w > 1)
        step = self.target.memory.border
        before, after = (round_up(n, step) if n else 0 for n in p.reach)
        return np.where(both, before, 0), np.where(both, after, 0)

    def _times(
        self,
        p: Pass,
        cuts: _Cuts,
        *,
        loads: Sequence[str],
        stores: bool,
        plain: frozenset[str] = frozenset(),
    ) -> _Times:
        """Cycles of a pass for each cut; `plain` are the tensors that lie in DRAM without bricks."""
        target = self.target
        memory, stripes = target.memory, target.stripes
        _, h, w, _ = self.shape[p.inputs[0]] if p.inputs else p.output_shape
        n_h, n_w = -(-h // cuts.rows), -(-w // cuts.columns)
        n_c = -(-p.output_shape[3] // cuts.channels)
        count = n_h * n_w * n_c
        zero = np.zeros(cuts.rows.shape)
        transfers, size, ahead = zero, zero, zero
        dense = p.work is not None and not p.work.depthwise
        again = np.where((n_h * n_w > 1) & dense, n_c, 1)
        for name in dict.fromkeys(loads):
            one, lead = self._load(p, cuts, name, n_h, n_w, name in plain)
            size, ahead = size + again * one, ahead + np.minimum(lead, again * one)
            transfers = transfers + n_h * n_w * again
        read, serial = self._transfer(size, transfers, ahead)
        if p.weight_bytes:
            weight = zero + p.weight_bytes * self.element
            first = np.where(cuts.weight_slots > 1, weight / n_c, weight)
            more, wait = self._transfer(weight, n_c, first)
            read, serial, size = read + more, serial + wait, size + weight
        written, write = zero, zero
        if stores:
            written, first = self._store(p, cuts, p.output in plain)
            write, wait = self._transfer(written, count, first)
            serial = serial + wait
        mac = vector = zero
        if p.work is not None:
            mac = _of_blocks(target, p.work)[cuts.block]
            mac = np.maximum(mac + count * stripes.cycles, count * stripes.minimum_cycles)
        if p.patch_cycles:
            vector = self._vector(p, cuts)
            vector = np.maximum(vector + count * p.stripe_cycles, count * stripes.minimum_cycles)
        if p.engine == "copy":
            serial, read, write = serial + read + write, zero, zero
        bus = np.maximum(read, write) if memory.duplex else read + write
        total = serial + np.maximum(np.maximum(mac, vector), bus) + stripes.layer_cycles
        return _Times(
            serial, read, write, mac, vector, size, written, (n_h, n_w, n_c), total
        )

    def _vector(self, p: Pass, cuts: _Cuts) -> Array:
        """Cycles of the vector engine, without overhead."""
        if p.work is None:
            return vector_cycles(self.target, p.patch_cycles, p.vector_map) + 0 * cuts.rows
        columns = cuts.columns * p.upscales
        found = np.zeros(cuts.rows.shape)
        for block in range(len(self.target.vector.blocks)):
            here = cuts.block == block
            cycles = vector_cycles(
                self.target, p.patch_cycles, p.vector_map, block, columns[here]
            )
            found[here] = cycles
        return found

    def _load(
        self, p: Pass, cuts: _Cuts, name: str, n_h: Array, n_w: Array, plain: bool
    ) -> tuple[Array, Array]:
        """Bytes of a tensor with its borders, and those of which nothing can be computed without."""
        _, h, w, c = self.shape[name]
        top, bottom = self._border(p, n_h, n_w)
        whole = self._dram_bytes(h + (top + bottom) * (n_h - 1), w, c, plain)
        rows, columns = np.minimum(cuts.rows, h), np.minimum(cuts.columns, w)
        overlaps = p.overlaps & ((n_h > 1) | (n_w > 1))
        lead = np.where(overlaps, 2, 1) * self._dram_bytes(rows, columns, c, plain)
        slots = 2 if p.work is None else cuts.in_slots
        buffered = slots >= np.where(overlaps, 4, 2)
        return whole, np.where(buffered, np.minimum(lead, whole), whole)

    def _store(self, p: Pass, cuts: _Cuts, plain: bool) -> tuple[Array, Array]:
        """Bytes of the output, and those that are stored after all is computed."""
        _, h, w, c = p.output_shape
        rows, columns = self._output_stripe(p, cuts)
        whole = self._dram_bytes(np.full_like(rows, h), w, c, plain)
        last = self._dram_bytes(rows, columns, np.minimum(cuts.channels, c), plain)
        return whole, np.where(cuts.out_slots >= 2, np.minimum(last, whole), whole)

    def _dram_bytes(
        self, rows: Array, columns: Array | int, channels: Array | int, plain: bool
    ) -> Array:
        if plain:
            return rows * columns * channels * self.element * 1.0
        height, width, depth = self.target.memory.dram_brick
        size = -(-rows // height) * height * (-(-columns // width) * width)
        return size * (-(-channels // depth) * depth) * self.element * (1 - self.saving)

    def _transfer(self, size: Array, count: Array, serial: Array) -> tuple[Array, Array]:
        """Cycles of a transfer in `count` pieces: beside the computation, and not."""
        memory = self.target.memory
        cycles = size / memory.dram_bytes_per_cycle + count * memory.transfer_cycles
        cycles = np.maximum(cycles, count * memory.transfer_minimum_cycles)
        share = np.divide(serial, size, out=np.ones_like(cycles), where=size > 0)
        cycles = np.where(size > 0, cycles, 0)
        return cycles * (1 - share), cycles * share

    # What a run costs with its tensors as they really lie.

    def _costs(self, run: _Run, number: int) -> list[Cost]:
        costs = []
        made = {self.passes[i].output for i in range(run.first, run.last)}
        for i, cuts, sram in zip(
            range(run.first, run.last + 1), run.cuts, run.sram, strict=True
        ):
            p = self.passes[i]
            loads = tuple(name for name in dict.fromkeys(p.inputs) if name not in made)
            own = {name for name in loads if name not in self.producer}
            if p.output not in self.readers:
                own.add(p.output)
            bricks = self._needs_bricks(p, cuts, loads) & own
            times = self._times(
                p, cuts, loads=loads, stores=i == run.last, plain=frozenset(own - bricks)
            )
            for name in sorted(bricks - {p.output}):
                costs.append(self._conversion(name, i, number))
            costs.append(self._cost(i, number, times, cuts, sram))
            if p.output in bricks:
                costs.append(self._conversion(p.output, i, number))
        return costs

    def _needs_bricks(self, p: Pass, cuts: _Cuts, loads: Sequence[str]) -> set[str]:
        """The tensors that this cut cannot load or store as plain rows."""
        if not self.target.memory.converts_input or p.engine == "copy":
            return set()
        _, h, w, _ = self.shape[p.inputs[0]]
        n_h, n_w = -(-h // cuts.rows), -(-w // cuts.columns)
        names = set(loads) if any(n.any() for n in self._border(p, n_h, n_w)) else set()
        if (cuts.channels < p.output_shape[3]).any() and p.output_shape[2] > 1:
            names.add(p.output)
        return names

    def _conversion(self, name: str, index: int, number: int) -> Cost:
        _, h, w, c = self.shape[name]
        rows = np.array([h])
        plain, bricks = (self._dram_bytes(rows, w, c, kind) for kind in (True, False))
        into = name not in self.producer
        one = np.ones(1)
        cycles = sum(self._transfer(size, one, size)[1] for size in (plain, bricks))
        return Cost(
            index=index,
            conversion=name,
            cascade=number,
            stripes=(1, 1, 1),
            algorithm="",
            mac_cycles=0,
            vector_cycles=0,
            read_bytes=round(float((plain if into else bricks)[0])),
            write_bytes=round(float((bricks if into else plain)[0])),
            cycles=float(cycles[0]),
            parts={"serial": float(cycles[0])},
            sram_bytes=0,
        )

    def _cost(self, index: int, number: int, times: _Times, cuts: _Cuts, sram: int) -> Cost:
        p, target = self.passes[index], self.target
        block = int(cuts.block[0])
        mac, algorithm, vector = 0, "", 0
        if p.work is not None:
            mac, algorithm = mac_cycles(target, p.work, target.vector.blocks[block])
        if p.patch_cycles:
            vector = int(self._vector(p, cuts)[0])
        parts = {name: float(getattr(times, name)[0]) for name in _PARTS}
        return Cost(
            index=index,
            cascade=number,
            stripes=(int(times.stripes[0][0]), int(times.stripes[1][0]), int(times.stripes[2][0])),
            algorithm=algorithm,
            mac_cycles=mac,
            vector_cycles=vector,
            read_bytes=round(float(times.read_bytes[0])),
            write_bytes=round(float(times.write_bytes[0])),
            cycles=float(times.total[0]),
            parts={name: cycles for name, cycles in parts.items() if cycles},
            sram_bytes=sram,
        )


_PARTS = ("serial", "read", "write", "mac", "vector")
_COSTLY = (
    "op",
    "output_shape",
    "engine",
    "work",
    "patch_cycles",
    "vector_map",
    "stripe_cycles",
    "reach",
    "upscales",
    "appended",
    "weight_bytes",
)
"""What decides the cost of a pass alone, besides its inputs' shapes."""


@functools.lru_cache(maxsize=1 << 12)
def _of_blocks(target: Target, work: object) -> Array:
    """MAC cycles by block."""
    return np.array([mac_cycles(target, work, block)[0] for block in target.vector.blocks])


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
