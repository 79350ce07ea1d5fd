"""What the passes of a schedule cost, with their tensors as they really lie in DRAM."""

import dataclasses
from collections.abc import Sequence

import numpy as np

from sesr_jax.npu.cascades import Cascade
from sesr_jax.npu.cuts import Array, Cuts
from sesr_jax.npu.dram import dram_bytes, find_tensors_in_bricks, transfer_cycles
from sesr_jax.npu.engines import mac_cycles
from sesr_jax.npu.on_chip import sram_bytes
from sesr_jax.npu.striped_network import Segment, StripedNetwork
from sesr_jax.npu.timing import find_block_work, time_pass, vector_cycles


@dataclasses.dataclass(frozen=True, kw_only=True)
class Cost:
    """What one pass costs in its schedule.

    Attributes:
      index: of the pass; for a conversion, of the pass that it serves.
      conversion: the tensor that is put into another layout; "" for a pass.
      cascade: the number of the segment to which the pass belongs.
      stripes: how many its map is cut into.
      algorithm: of the MAC array; "" where it rests.
      mac_cycles: of the MAC array, without overhead.
      vector_cycles: of the vector engine, without overhead.
      read_bytes: from DRAM, weights among them.
      write_bytes: to DRAM.
      cycles: of the pass.
      parts: cycles by what takes them: "serial", "read", "write", "mac", "vector".
      sram_bytes: in use while the pass runs.
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


def list_costs(network: StripedNetwork, segment: Segment, number: int) -> list[Cost]:
    """Returns the costs of the passes of a segment, and of the conversions of layout around them.

    Args:
      network: the passes.
      segment: the one whose costs are wanted.
      number: the segment's, for `Cost.cascade`.
    """
    first, last = segment.first, segment.last
    loads: Sequence[str] = network.passes[first].work.inputs
    if first == last:
        sram = sram_bytes(network.passes[first], segment.cuts)
        return _list_pass_costs(network, first, number, segment.cuts, loads, True, sram)
    cascade = Cascade(network, first, segment.cuts)
    costs = _list_pass_costs(network, first, number, segment.cuts, loads, False, cascade.sram)
    for i in range(first + 1, last + 1):
        step = cascade.make_step(i, segment.slots if i == last else 0)
        costs += _list_pass_costs(network, i, number, step.cuts, step.loads, i == last, step.sram)
        if i < last:
            cascade.add(i)
    return costs


def _list_pass_costs(
    network: StripedNetwork,
    i: int,
    number: int,
    cuts: Cuts,
    loads: Sequence[str],
    stores: bool,
    sram: Array,
) -> list[Cost]:
    """Returns the cost of one pass, between those of the conversions that it needs."""
    striped, target = network.passes[i], network.target
    p = striped.work
    loads = tuple(dict.fromkeys(loads))
    own = (network.inputs & set(loads)) | (network.outputs & {p.output})
    bricked = find_tensors_in_bricks(striped, cuts, loads) & own
    times = time_pass(striped, cuts, loads=loads, stores=stores, plain=own - bricked)
    mac, algorithm = 0, ""
    blocks = find_block_work(striped, cuts, loads, stores=stores)
    if blocks is not None:
        mac, algorithm = blocks.mac_cycles, "direct"
    elif p.conv is not None:
        mac, algorithm = mac_cycles(target, p.conv, target.vector.blocks[int(cuts.block[0])])
    parts = {name: _take_first(getattr(times, name)) for name in _PARTS}
    n_h, n_w, n_c = striped.count_stripes(cuts)
    cost = Cost(
        index=i,
        cascade=number,
        stripes=int((n_h * n_w * n_c)[0]),
        algorithm=algorithm,
        mac_cycles=mac,
        vector_cycles=int(vector_cycles(striped, cuts)[0]) if p.patch_cycles else 0,
        read_bytes=round(_take_first(times.read_bytes)),
        write_bytes=round(_take_first(times.write_bytes)),
        cycles=_take_first(times.total),
        parts={name: cycles for name, cycles in parts.items() if cycles},
        sram_bytes=int(_take_first(sram)),
    )
    before = [_convert(network, name, i, number) for name in loads if name in bricked]
    after = [_convert(network, p.output, i, number)] if p.output in bricked else []
    return [*before, cost, *after]


def _convert(network: StripedNetwork, name: str, index: int, number: int) -> Cost:
    """Returns the cost of copying the network's own input or output between plain rows and bricks."""
    p, target = network.passes[index].work, network.target
    is_input = name in p.inputs
    _, h, w, c = p.input_shapes[p.inputs.index(name)] if is_input else p.output_shape
    read, written = (
        float(dram_bytes(target, network.saving, h, w, c, plain=plain))
        for plain in (is_input, not is_input)
    )
    cycles = float(sum(transfer_cycles(target, size, 1) for size in (read, written)))
    return Cost(
        index=index,
        conversion=name,
        cascade=number,
        read_bytes=round(read),
        write_bytes=round(written),
        cycles=cycles,
        parts={"serial": cycles},
    )


def _take_first(value: Array | float) -> float:
    return float(np.ravel(value)[0])
