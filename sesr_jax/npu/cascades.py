"""Cascades: passes through which stripes flow on chip, found by trying every cut of the first pass.

A cascade cuts rows or columns, or nothing where whole tensors fit. It may hold a residual: every tensor
that is made inside must be read inside, except the last, and a pass inside may load another tensor. Three
stripes of a tensor are kept before a pass that reads beyond its own, one before any other. Once a whole
tensor lies on chip, nothing before it is needed any more.
"""

import dataclasses
import functools
import math

import numpy as np

from sesr_jax.npu.cuts import Array, Cuts, StripedPass, continue_cuts, list_cuts
from sesr_jax.npu.on_chip import input_bytes, output_bytes, program_bytes, weight_bytes
from sesr_jax.npu.passes import Pass
from sesr_jax.npu.striped_network import Segment, StripedNetwork
from sesr_jax.npu.timing import time_pass


def list_cascades(network: StripedNetwork, first: int, stop: int) -> list[Segment]:
    """Returns the best cascade of every length that starts with the pass `first` and ends before `stop`."""
    cuts = _list_first_cuts(network.kinds[first])
    found = []
    cascade = Cascade(network, first, cuts)
    for i in range(first + 1, min(stop, first + network.target.stripes.cascades)):
        if not cascade.can_continue(i):
            break
        if cascade.can_end(i):
            cycles, best, slots = min((*cascade.end(i, slots), slots) for slots in (2, 1))
            if cycles < math.inf:
                found.append(Segment(first, i, cycles, cuts[cascade.origin[[best]]], slots))
        cascade.add(i)
    return found


@functools.lru_cache(maxsize=1 << 12)
def _list_first_cuts(striped: StripedPass) -> Cuts:
    return list_cuts(striped, starts_cascade=True)


@dataclasses.dataclass(frozen=True)
class Step:
    """The next pass of a cascade.

    Attributes:
      cuts: its cuts, one for each of the cascade's.
      loads: the tensors that it loads from DRAM.
      sram: bytes on chip while it runs.
      output: the part of them that holds its output.
      others: the part that holds its loaded inputs and its weights.
    """

    cuts: Cuts
    loads: tuple[str, ...]
    sram: Array
    output: Array
    others: Array


class Cascade:
    """A cascade as it grows, for every cut of its first pass that still fits on chip.

    Attributes:
      origin: the indices of the first pass's cuts that still fit.
      total: cycles so far, one for each of them.
      sram: bytes on chip while the first pass runs.
    """

    def __init__(self, network: StripedNetwork, first: int, cuts: Cuts) -> None:
        self._network, self._first = network, first
        striped = network.passes[first]
        p = striped.work
        loads = tuple(dict.fromkeys(p.inputs))
        output = output_bytes(striped, cuts)
        held = input_bytes(striped, cuts, loads) + weight_bytes(striped, cuts)
        self.sram = held + output + program_bytes([striped])
        fits = self.sram <= network.target.memory.sram_bytes
        fits = np.flatnonzero(fits & self._stays_on_chip(p, striped.measure_output_stripe(cuts)))
        self.origin, self._block = fits, cuts.block[fits]
        cuts, held, output = cuts[fits], held[fits], output[fits]
        self.total = time_pass(striped, cuts, loads=loads, stores=False).merit
        stripe = striped.measure_output_stripe(cuts)
        # Of each tensor that is still to be read: rows and columns of its stripes, and bytes.
        self._live = {p.output: (*stripe, output)}
        self._held = np.where(_is_whole(p, stripe), 0, held)

    def can_continue(self, i: int) -> bool:
        """Returns whether pass `i` can be the next."""
        p = self._network.passes[i].work
        reads = any(name in self._live for name in p.inputs)
        return bool(self.origin.size and p.engine != "copy" and reads)

    def can_end(self, i: int) -> bool:
        """Returns whether nothing that was made inside is left to be read after pass `i`."""
        return all(self._is_read_last_by(i, name) for name in self._live)

    def make_step(self, i: int, slots: int) -> Step:
        """Returns pass `i` as the next (`slots` is 0), or as the last with `slots` stripes of output."""
        network, striped = self._network, self._network.passes[i]
        names = dict.fromkeys(striped.work.inputs)
        rows, columns, _ = self._live[next(name for name in names if name in self._live)]
        cuts = continue_cuts(striped, rows, columns, self._block, slots)
        loads = tuple(name for name in names if name not in self._live)
        output = output_bytes(striped, cuts, stores=slots > 0)
        others = input_bytes(striped, cuts, loads) + weight_bytes(striped, cuts)
        live = sum(size for _, _, size in self._live.values())
        programs = program_bytes(network.passes[self._first : i + 1])
        sram = self._held + live + output + others + programs
        return Step(cuts, loads, sram, output, others)

    def end(self, i: int, slots: int) -> tuple[float, int]:
        """Returns the cycles of the fastest cut if pass `i` is the last, and the place of that cut."""
        step = self.make_step(i, slots)
        times = time_pass(self._network.passes[i], step.cuts, loads=step.loads, stores=True)
        cycles = np.where(self._fits(i, step), self.total + times.merit, math.inf)
        best = int(np.argmin(cycles))
        return float(cycles[best]), best

    def add(self, i: int) -> None:
        """Takes pass `i` into the cascade, and drops the cuts that do not fit any more."""
        striped = self._network.passes[i]
        p = striped.work
        step = self.make_step(i, 0)
        times = time_pass(striped, step.cuts, loads=step.loads, stores=False)
        stripe = striped.measure_output_stripe(step.cuts)
        fits = np.flatnonzero(self._fits(i, step) & self._stays_on_chip(p, stripe))
        done = [name for name in self._live if self._is_read_last_by(i, name)]
        read = sum(self._live.pop(name)[2] for name in done)
        held = np.where(_is_whole(p, stripe), 0, self._held + read + step.others)
        self._live[p.output] = (*stripe, step.output)
        self.origin, self._block, self._held = self.origin[fits], self._block[fits], held[fits]
        self.total = (self.total + times.merit)[fits]
        self._live = {
            name: (rows[fits], columns[fits], size[fits])
            for name, (rows, columns, size) in self._live.items()
        }

    def _is_read_last_by(self, i: int, name: str) -> bool:
        readers = self._network.readers
        return name in readers and readers[name][-1] == i

    def _stays_on_chip(self, p: Pass, stripe: tuple[Array, Array]) -> Array:
        """Returns whether the output may stay on chip: whole, or to be read stripe by stripe."""
        branches = len(self._network.readers.get(p.output, ())) > 1
        stays = not p.joined and (self._network.target.stripes.branches or not branches)
        return stays | _is_whole(p, stripe)

    def _fits(self, i: int, step: Step) -> Array:
        """Returns whether memory suffices, and all inputs that were made inside are cut alike."""
        p = self._network.passes[i].work
        fits = step.sram <= self._network.target.memory.sram_bytes
        for name, shape in zip(p.inputs, p.input_shapes, strict=True):
            if name in self._live:
                rows, columns, _ = self._live[name]
                fits = fits & (rows == step.cuts.rows) & (columns == step.cuts.columns)
                if p.joined:
                    fits = fits & (rows >= shape[1]) & (columns >= shape[2])
        return fits


def _is_whole(p: Pass, stripe: tuple[Array, Array]) -> Array:
    return (stripe[0] >= p.output_shape[1]) & (stripe[1] >= p.output_shape[2])
