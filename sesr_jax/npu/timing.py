"""How long a pass takes, for each way to cut it.

The time of a pass is ``serial transfers + max(loads, stores, MAC array, vector engine)``, each with
its overhead per stripe. This is the model of Arm's Ethos-N driver stack 25.03 (`EstimationUtils.cpp`);
other targets fill in what they have.
"""

import dataclasses
import functools
from collections.abc import Sequence

import numpy as np

from sesr_jax.npu import engines
from sesr_jax.npu.blocks import BlockWork, measure_block_work
from sesr_jax.npu.cuts import Array, Cuts, Number, StripedPass
from sesr_jax.npu.dram import burst_factor, measure_load, measure_store, split_transfer
from sesr_jax.npu.engines import Convolution
from sesr_jax.targets import Target


@dataclasses.dataclass(frozen=True)
class Times:
    """Cycles and bytes of a pass.

    Attributes:
      serial: cycles of transfers that nothing hides.
      read: cycles of transfers from DRAM beside the computation.
      write: cycles of transfers to DRAM beside the computation.
      mac: cycles of the MAC array, with its overheads.
      vector: cycles of the vector engine, with its overheads.
      read_bytes: from DRAM, weights among them.
      write_bytes: to DRAM.
      total: cycles of the pass.
      merit: what a schedule minimises: the same cycles, and a price for the traffic.
    """

    serial: Number
    read: Number
    write: Number
    mac: Number
    vector: Number
    read_bytes: Number
    write_bytes: Number
    total: Array
    merit: Array


def time_pass(
    striped: StripedPass,
    cuts: Cuts,
    *,
    loads: Sequence[str],
    stores: bool,
    plain: frozenset[str] = frozenset(),
) -> Times:
    """Returns cycles and bytes of a pass.

    Args:
      striped: the pass.
      cuts: the ways to cut it.
      loads: the inputs that come from DRAM.
      stores: whether the output goes there.
      plain: the tensors that lie there without bricks.
    """
    p, target = striped.work, striped.target
    n_h, n_w, n_c = striped.count_stripes(cuts)
    count = n_h * n_w * n_c
    blocks = find_block_work(striped, cuts, loads, stores=stores)
    read: Number = 0.0
    serial: Number = 0.0
    write: Number = 0.0
    size: Number = 0.0
    written: Number = 0.0
    longest: Number = 0.0
    if loads:
        again = np.where((n_h * n_w > 1) & striped.reads_all_channels, n_c, 1)
        parts = [measure_load(striped, cuts, name, plain=name in plain) for name in loads]
        if p.conv is None and p.joined and len(loads) == len(p.inputs) == 1:
            parts *= 2
        if blocks is not None and loads[0] == p.inputs[0]:
            bursts = burst_factor(target, blocks.read_run, plain=loads[0] in plain)
            parts[0] = (parts[0][0] * (blocks.reads * bursts), *parts[0][1:])
        size = sum(again * whole for whole, _, _ in parts)
        together = np.maximum if p.conv is not None else np.add
        longest = again * functools.reduce(together, (whole for whole, _, _ in parts))
        ahead = sum(np.minimum(lead, again * whole) for whole, lead, _ in parts)
        pieces = sum(pieces for _, _, pieces in parts)
        read, serial = split_transfer(target, size, n_h * n_w * again * pieces, ahead)
    if p.weight_bytes:
        first = np.where(cuts.weight_slots > 1, p.weight_bytes / n_c, p.weight_bytes)
        more, wait = split_transfer(target, p.weight_bytes, n_c, first)
        read, serial, size = read + more, serial + wait, size + p.weight_bytes
    if stores:
        written, last, pieces = measure_store(striped, cuts, plain=p.output in plain)
        if blocks is not None:
            bursts = burst_factor(target, blocks.write_run, plain=p.output in plain)
            written = written * bursts
        write, wait = split_transfer(target, written, count * pieces, last)
        serial = serial + wait
    mac, vector = _engine_cycles(striped, cuts, count)
    if blocks is not None:
        edge = blocks.edge_cycles + blocks.edge_elements * p.patch_cycles / target.vector.lanes
        mac = float(blocks.mac_cycles + edge)
    if p.engine == "copy":
        serial, read, write = serial + read + write, 0.0, 0.0
    bus = np.maximum(read, write) if target.memory.duplex else read + write
    if target.memory.read_bytes_per_cycle and p.engine != "copy":  # the host makes copies
        read = np.maximum(read, longest / target.memory.read_bytes_per_cycle)
        bus = np.maximum(bus, read)
    if blocks is not None:
        bus = np.maximum(bus, blocks.scale_cycles)
    total = serial + np.maximum(np.maximum(mac, vector), bus) + target.stripes.layer_cycles
    merit = total + target.stripes.byte_cycles * (size + written)
    return Times(serial, read, write, mac, vector, size, written, total, merit)


def find_block_work(
    striped: StripedPass, cuts: Cuts, loads: Sequence[str], *, stores: bool
) -> BlockWork | None:
    """Returns what the pass takes where the array works in blocks, with its one cut; None elsewhere."""
    p = striped.work
    if p.conv is None or not striped.target.streams:
        return None
    single = stores and p.inputs[0] in loads
    rows = (
        p.output_shape[1] if single else np.max(striped.measure_output_stripe(cuts)[0], initial=1)
    )
    return measure_block_work(striped.target, p.conv, int(rows))


def vector_cycles(striped: StripedPass, cuts: Cuts) -> Array:
    """Returns the cycles of the vector engine without its overhead per stripe."""
    p = striped.work
    columns = cuts.columns * p.upscales
    block = None if p.conv is None else cuts.block
    return engines.vector_cycles(striped.target, p.patch_cycles, p.vector_map, block, columns)


def _engine_cycles(striped: StripedPass, cuts: Cuts, count: Array) -> tuple[Number, Number]:
    """Returns the cycles of both engines for `count` stripes, with their overheads."""
    p, stripes = striped.work, striped.target.stripes
    mac: Number = 0.0
    vector: Number = 0.0
    if p.conv is not None:
        mac = _mac_cycles_by_block(striped.target, p.conv)[cuts.block] + count * stripes.cycles
        mac = np.maximum(mac, count * stripes.minimum_cycles)
    if p.patch_cycles:
        vector = vector_cycles(striped, cuts) + count * p.stripe_cycles
        vector = np.maximum(vector, count * stripes.minimum_cycles)
    return mac, vector


@functools.lru_cache(maxsize=1 << 12)
def _mac_cycles_by_block(target: Target, conv: Convolution) -> Array:
    """Returns the MAC array's cycles of a convolution for each of the target's blocks of accumulators."""
    return np.array([engines.mac_cycles(target, conv, block)[0] for block in target.vector.blocks])
