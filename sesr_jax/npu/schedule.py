"""When passes run, and what stays on chip: the search for the fastest schedule.

    costs = schedule(lower(layers, target), target, saving=0.0)

A pass alone loads stripes from DRAM, computes, and stores stripes; it may cut rows, columns and
output channels. A *cascade* is a run of passes through which stripes flow on chip; it cuts rows or
columns, or nothing where whole tensors fit. It may hold a residual: every tensor made inside must be
read inside, but for the last, and a pass inside may load another tensor. Three stripes of a tensor
are kept before a pass that reads beyond its own, one before any other; one more on either end lets
transfers run beside the computation. Once a whole tensor lies on chip, nothing before it is needed
any more.

Dynamic programming over the runs takes the fastest; where an array works in blocks, the cascades that are
cut are given beforehand. Like Arm's compiler for Ethos-N, the search plans
as if the network's own input and output lay in bricks as tensors between passes do, and pays for the
conversion afterwards where they do not. Limits: one image; weights do not compress; a cascade's
tensors are allocated without gaps.
"""

import dataclasses
import functools
import math
from collections.abc import Sequence

import numpy as np

from sesr_jax.npu.engines import mac_cycles
from sesr_jax.npu.passes import Pass
from sesr_jax.npu.stripes import Array, Cuts, StripedPass, dram_bytes, transfer_cycles
from sesr_jax.targets import Target


@dataclasses.dataclass(frozen=True, kw_only=True)
class Cost:
    """What one pass costs in its schedule.

    Attributes:
      index: of the pass; of the one that it serves, for a conversion.
      conversion: "", or the tensor that is put into another layout.
      cascade: the number of the run to which it belongs.
      stripes: into which its map is cut.
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
    stripes: int = 1
    algorithm: str = ""
    mac_cycles: int = 0
    vector_cycles: int = 0
    read_bytes: int
    write_bytes: int
    cycles: float
    parts: dict[str, float]
    sram_bytes: int = 0


_PARTS = ("serial", "read", "write", "mac", "vector")


@dataclasses.dataclass(frozen=True)
class _Run:
    """A cascade, or a pass alone: how its first pass is cut, and its last one's slots of output."""

    first: int
    last: int
    cycles: float
    cuts: Cuts
    slots: int = 0


def schedule(passes: Sequence[Pass], target: Target, *, saving: float) -> list[Cost]:
    """The costs of the passes in the fastest schedule found, in the order in which they run.

    Args:
      passes: of one network, in an order in which they can run.
      target: the NPU.
      saving: the share that compression saves of tensors between passes.
    """
    search = _Search(passes, target, saving if target.compresses else 0.0)
    n = len(passes)
    cycles = [math.inf] * n + [0.0]
    chosen: dict[int, _Run] = {}
    for first in reversed(range(n)):
        for run in search.runs(first):
            if run.cycles + cycles[run.last + 1] < cycles[first]:
                cycles[first], chosen[first] = run.cycles + cycles[run.last + 1], run
    costs: list[Cost] = []
    first = number = 0
    while first < n:
        costs += search.costs(chosen[first], number)
        first, number = chosen[first].last + 1, number + 1
    return costs


@functools.lru_cache(maxsize=1 << 12)
def _first_cuts(striped: StripedPass) -> Cuts:
    """The ways to cut the first pass of a cascade."""
    return striped.cuts(alone=False)


@functools.lru_cache(maxsize=1 << 12)
def _fastest_alone(striped: StripedPass) -> tuple[float, Cuts]:
    """The merit of a pass alone, and its cut."""
    cuts = striped.cuts(alone=True)
    sram = _sram_alone(striped, cuts)
    fits = np.flatnonzero(sram <= striped.target.memory.sram_bytes)
    if not fits.size:  # a map so wide that no stripe fits: as the finest cut
        fits = np.array([np.argmin(sram)])
    cuts = cuts[fits]
    loads = tuple(dict.fromkeys(striped.work.inputs))
    merit = striped.times(cuts, loads=loads, stores=True).merit
    best = np.array([np.argmin(merit)])
    return float(merit[best[0]]), cuts[best]


def _sram_alone(striped: StripedPass, cuts: Cuts) -> Array:
    if striped.work.engine == "copy":
        return 0 * cuts.rows  # it streams
    loads = tuple(dict.fromkeys(striped.work.inputs))
    buffers = striped.input_bytes(cuts, loads) + striped.output_bytes(cuts, stores=True)
    return buffers + striped.weight_bytes(cuts) + _programs([striped])


def _programs(passes: Sequence[StripedPass]) -> int:
    """Bytes on chip of the vector engine's kernels."""
    kernels = {p.work.patch_cycles for p in passes if p.work.patch_cycles}
    return len(kernels) * passes[0].target.vector.program_bytes


class _Search:
    """The passes of one network with the tensors between them; private to `schedule`."""

    def __init__(self, passes: Sequence[Pass], target: Target, saving: float) -> None:
        self.target, self.saving = target, saving
        self.producer = {p.output: i for i, p in enumerate(passes)}
        self.readers: dict[str, list[int]] = {}
        for i, p in enumerate(passes):
            for name in dict.fromkeys(p.inputs):
                self.readers.setdefault(name, []).append(i)
        self.passes = [StripedPass(p, target, saving, *self._wanted(p, passes)) for p in passes]
        # Networks repeat their layers, and candidates of a search share them.
        self.kinds = [dataclasses.replace(p, work=p.work.anonymous) for p in self.passes]
        self.own = {name for p in passes for name in (*p.inputs, p.output)}
        self.own -= self.producer.keys() & self.readers.keys()
        self.fixed = self._longest() if target.streams else {}

    def _wanted(self, p: Pass, passes: Sequence[Pass]) -> tuple[int, int]:
        """Stripes of output that must be kept for the passes that read it, and rows more for each."""
        readers = self.readers.get(p.output, [])
        if self.target.streams:
            return 2, max((sum(passes[i].reach) for i in readers), default=0)
        if len(readers) != 1 or passes[readers[0]].upscales > 1:
            return 3, 0
        return 1 + sum(n > 0 for n in passes[readers[0]].reach), 0

    def runs(self, first: int) -> list[_Run]:
        """The pass alone, and the best cascade of every length that starts with it; or a fixed one."""
        if first in self.fixed:
            return [self.fixed[first]]
        cycles, cuts = _fastest_alone(self.kinds[first])
        runs = [_Run(first, first, cycles, cuts)]
        if self.target.stripes.cascades > 1 and self.kinds[first].work.engine != "copy":
            runs += self._cascades(first)
        return runs

    def _cascades(self, first: int) -> list[_Run]:
        cuts = _first_cuts(self.kinds[first])
        runs = []
        state = _Cascade(self, first, cuts)
        last = min(len(self.passes), first + self.target.stripes.cascades)
        for i in range(first + 1, last):
            if not state.continues(i) or i in self.fixed:
                break
            ends = [(*state.end(i, slots), slots) for slots in (2, 1)] if state.closes(i) else []
            cycles, best, slots = min(ends, default=(math.inf, 0, 0))
            if cycles < math.inf:
                runs.append(_Run(first, i, cycles, cuts[state.origin[[best]]], slots))
            state.go_on(i)
        return runs

    def _longest(self) -> dict[int, _Run]:
        """Cascades that are as long as they can be, by their first pass, as Arm's Vela finds them.

        From the first pass on, as many as fit in stripes of a row, up to one whose maps lie on chip as
        a whole. Weights are kept beside them as long as there is room. Then the stripes grow, and may
        break a cascade as often as those of two rows do.
        """
        found: dict[int, _Run] = {}
        first, n = 0, len(self.passes)
        while first < n:
            last, size = self._reached(first, n - 1, 1, frozenset())
            rows, best = 1, [(first, last)] if last > first else []
            kept: set[int] = set()
            for i in range(first, last + 1):
                size += self.passes[i].kept_bytes(1)
                if size <= self.target.memory.sram_bytes:
                    kept.add(i)
            most = n
            for more in range(2, self.passes[first].work.output_shape[1] // 2 + 1) if best else ():
                cascades = self._split(first, last, more, frozenset(kept))
                if cascades is None or len(cascades) > most:
                    break
                rows, best, most = more, cascades, len(cascades) if more == 2 else most
            found |= {a: _Run(a, b, 0.0, self.passes[a].stripes_of(rows), 1) for a, b in best}
            first = last + 1
        return found

    def _split(
        self, first: int, last: int, rows: int, kept: frozenset[int]
    ) -> list[tuple[int, int]] | None:
        """The cascades that these passes are in stripes of so many rows; None where one is left alone."""
        found = []
        while first <= last:
            end, _ = self._reached(first, last, rows, kept)
            if end > first:
                found.append((first, end))
            elif self.passes[first].whole_bytes(self.own) > self.target.memory.sram_bytes:
                return None
            first = end + 1
        return found

    def _reached(self, first: int, last: int, rows: int, kept: frozenset[int]) -> tuple[int, int]:
        """The last pass of the longest cascade, and its bytes on chip with the weights of `kept`."""
        limit = self.target.memory.sram_bytes
        striped = self.passes[first]
        cuts = striped.stripes_of(rows)
        size = striped.kept_bytes(rows) * (first in kept)
        for i in range(first, last):
            after = self.passes[i + 1]
            flows = self.readers.get(striped.work.output) == [i + 1]
            if not flows or striped.work.joined or after.work.joined:
                return i, size
            more = int(striped.output_bytes(cuts)[0]) + after.kept_bytes(rows) * (i + 1 in kept)
            copies = "copy" in (striped.work.engine, after.work.engine)
            if copies or size + more > limit or after.whole_bytes(self.own) <= limit:
                return i, size
            size += more
            cuts = after.continued(*striped.output_stripe(cuts), cuts.block, 0)
            striped = after
        return last, size

    def costs(self, run: _Run, number: int) -> list[Cost]:
        """What a run costs with its tensors as they really lie in DRAM."""
        if run.first == run.last:
            striped = self.passes[run.first]
            sram = _sram_alone(striped, run.cuts)
            return self._pass_costs(run.first, number, run.cuts, striped.work.inputs, True, sram)
        state = _Cascade(self, run.first, run.cuts)
        first = self.passes[run.first].work.inputs
        costs = self._pass_costs(run.first, number, run.cuts, first, False, state.sram)
        for i in range(run.first + 1, run.last + 1):
            end = i == run.last
            step = state.step(i, run.slots if end else 0)
            costs += self._pass_costs(i, number, step.cuts, step.loads, end, step.sram)
            if not end:
                state.go_on(i)
        return costs

    def _pass_costs(
        self, i: int, number: int, cuts: Cuts, loads: Sequence[str], stores: bool, sram: Array
    ) -> list[Cost]:
        """The pass, between the conversions that it needs."""
        striped = self.passes[i]
        p, target = striped.work, self.target
        loads = tuple(dict.fromkeys(loads))
        own = {name for name in loads if name not in self.producer}
        own |= {p.output} - self.readers.keys()
        bricked = striped.bricked(cuts, loads) & own
        plain = frozenset(own - bricked)
        times = striped.times(cuts, loads=loads, stores=stores, plain=plain)
        mac, algorithm = 0, ""
        blocks = striped.blocks(cuts, loads, stores=stores)
        if blocks is not None:
            mac, algorithm = blocks.mac_cycles, "direct"
        elif p.conv is not None:
            mac, algorithm = mac_cycles(target, p.conv, target.vector.blocks[int(cuts.block[0])])
        parts = {name: _scalar(getattr(times, name)) for name in _PARTS}
        height, width = (p.input_shapes[0] if p.inputs else p.output_shape)[1:3]
        count = -(-height // cuts.rows) * -(-width // cuts.columns)
        cost = Cost(
            index=i,
            cascade=number,
            stripes=int((count * -(-p.output_shape[3] // cuts.channels))[0]),
            algorithm=algorithm,
            mac_cycles=mac,
            vector_cycles=int(striped.vector_cycles(cuts)[0]) if p.patch_cycles else 0,
            read_bytes=round(_scalar(times.read_bytes)),
            write_bytes=round(_scalar(times.write_bytes)),
            cycles=_scalar(times.total),
            parts={name: cycles for name, cycles in parts.items() if cycles},
            sram_bytes=int(_scalar(sram)),
        )
        before = [self._conversion(name, i, number) for name in loads if name in bricked]
        after = [self._conversion(p.output, i, number)] if p.output in bricked else []
        return [*before, cost, *after]

    def _conversion(self, name: str, index: int, number: int) -> Cost:
        """A copy of the network's own input or output between plain rows and bricks."""
        p = self.passes[index].work
        into = name in p.inputs
        _, h, w, c = p.input_shapes[p.inputs.index(name)] if into else p.output_shape
        sizes = [
            float(dram_bytes(self.target, self.saving, h, w, c, plain=plain))
            for plain in (into, not into)
        ]
        cycles = float(sum(transfer_cycles(self.target, size, 1) for size in sizes))
        return Cost(
            index=index,
            conversion=name,
            cascade=number,
            read_bytes=round(sizes[0]),
            write_bytes=round(sizes[1]),
            cycles=cycles,
            parts={"serial": cycles},
        )


@dataclasses.dataclass(frozen=True)
class _Step:
    """A pass in a cascade: its cuts, the tensors that it loads, the bytes on chip, its buffers."""

    cuts: Cuts
    loads: tuple[str, ...]
    sram: Array
    output: Array
    others: Array


class _Cascade:
    """A cascade as it grows, for every cut of its first pass that still fits; private to `_Search`.

    Attributes:
      origin: the cuts of the first pass that still fit, by their index.
      total: cycles so far.
      sram: bytes in use by the last pass.
    """

    def __init__(self, search: _Search, first: int, cuts: Cuts) -> None:
        self.search, self.first = search, first
        striped = search.passes[first]
        p = striped.work
        loads = tuple(dict.fromkeys(p.inputs))
        output = striped.output_bytes(cuts)
        held = striped.input_bytes(cuts, loads) + striped.weight_bytes(cuts)
        self.sram = held + output + _programs([striped])
        stripe = striped.output_stripe(cuts)
        fits = self.sram <= search.target.memory.sram_bytes
        fits = np.flatnonzero(fits & self._flows(p, stripe))
        self.origin, self.block = fits, cuts.block[fits]
        cuts, held, output = cuts[fits], held[fits], output[fits]
        self.total = striped.times(cuts, loads=loads, stores=False).merit
        stripe = striped.output_stripe(cuts)
        # Of each tensor that is still to be read: rows and columns of its stripes, and bytes.
        self.live = {p.output: (*stripe, output)}
        self.held = np.where(self._whole(p, stripe), 0, held)

    @staticmethod
    def _whole(p: Pass, stripe: tuple[Array, Array]) -> Array:
        return (stripe[0] >= p.output_shape[1]) & (stripe[1] >= p.output_shape[2])

    def _flows(self, p: Pass, stripe: tuple[Array, Array]) -> Array:
        """Whether the output may stay on chip: whole, or to be read stripe by stripe."""
        branches = len(self.search.readers.get(p.output, ())) > 1
        stays = not p.joined and (self.search.target.stripes.branches or not branches)
        return stays | self._whole(p, stripe)

    def continues(self, i: int) -> bool:
        """Whether pass `i` can be the next."""
        p = self.search.passes[i].work
        return bool(
            self.origin.size and p.engine != "copy" and any(name in self.live for name in p.inputs)
        )

    def closes(self, i: int) -> bool:
        """Whether nothing that was made inside is left to be read after pass `i`."""
        readers = self.search.readers
        return all(name in readers and readers[name][-1] == i for name in self.live)

    def step(self, i: int, slots: int) -> _Step:
        """Pass `i` as the next (`slots` is 0), or as the last with so many slots of output."""
        search, striped = self.search, self.search.passes[i]
        names = dict.fromkeys(striped.work.inputs)
        rows, columns, _ = self.live[next(name for name in names if name in self.live)]
        cuts = striped.continued(rows, columns, self.block, slots)
        loads = tuple(name for name in names if name not in self.live)
        output = striped.output_bytes(cuts, stores=slots > 0)
        others = striped.input_bytes(cuts, loads) + striped.weight_bytes(cuts)
        live = sum(size for _, _, size in self.live.values())
        programs = _programs(search.passes[self.first : i + 1])
        return _Step(cuts, loads, self.held + live + output + others + programs, output, others)

    def _fits(self, i: int, step: _Step) -> Array:
        """Whether memory suffices, and all inputs made inside are cut alike."""
        p = self.search.passes[i].work
        fits = step.sram <= self.search.target.memory.sram_bytes
        for name, shape in zip(p.inputs, p.input_shapes, strict=True):
            if name in self.live:
                rows, columns, _ = self.live[name]
                fits = fits & (rows == step.cuts.rows) & (columns == step.cuts.columns)
                if p.joined:
                    fits = fits & (rows >= shape[1]) & (columns >= shape[2])
        return fits

    def end(self, i: int, slots: int) -> tuple[float, int]:
        """Cycles of the fastest cut if pass `i` is the last, and that cut."""
        step = self.step(i, slots)
        times = self.search.passes[i].times(step.cuts, loads=step.loads, stores=True)
        cycles = np.where(self._fits(i, step), self.total + times.merit, math.inf)
        best = int(np.argmin(cycles))
        return float(cycles[best]), best

    def go_on(self, i: int) -> None:
        """Takes pass `i` in."""
        striped = self.search.passes[i]
        p = striped.work
        step = self.step(i, 0)
        times = striped.times(step.cuts, loads=step.loads, stores=False)
        stripe = striped.output_stripe(step.cuts)
        fits = np.flatnonzero(self._fits(i, step) & self._flows(p, stripe))
        readers = self.search.readers
        done = [name for name in self.live if name in readers and readers[name][-1] == i]
        read = sum(self.live.pop(name)[2] for name in done)
        held = np.where(self._whole(p, stripe), 0, self.held + read + step.others)
        self.live[p.output] = (*stripe, step.output)
        self.origin, self.block, self.held = self.origin[fits], self.block[fits], held[fits]
        self.total = (self.total + times.merit)[fits]
        self.live = {
            name: (rows[fits], columns[fits], size[fits])
            for name, (rows, columns, size) in self.live.items()
        }


def _scalar(value: Array | float) -> float:
    return float(np.ravel(value)[0])
