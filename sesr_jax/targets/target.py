"""What an NPU is, as data. Each target is one TOML file in this folder.

    target = find_target("ethos-n78-4tops")          # by its file's name
    target = find_target("mine/next_chip.toml")      # or any file

A file fills the dataclasses below. ``[sources]`` says where each figure of the file comes from, by the
figure's dotted name or by the name of a table that holds it. A figure without a source is refused, and the
source of one that nobody has published says "assumed". ``like = "ethos-n78-4tops"`` takes from another file
what this one leaves out, sources included; that file may itself be like another.

Units: bytes, hertz, cycles of the target's clock. A new target is one file.
"""

import dataclasses
from collections.abc import Mapping
from typing import Annotated, Literal

from sesr_jax.schema import NOT_NEGATIVE, POSITIVE, Rule

_SOME = Rule("no empty list", bool)
_Size = Annotated[int, NOT_NEGATIVE]
_MOST = 1e15  # of a figure, so that no sum of them overflows
_Cost = Annotated[float, Rule("from 0 to 1e15", lambda value: 0 <= value <= _MOST)]
_Count = Annotated[int, POSITIVE]
_Rate = Annotated[float, Rule("above 0 and at most 1e15", lambda value: 0 < value <= _MOST)]
_Share = Annotated[float, Rule("above 0 and at most 1", lambda value: 0 < value <= 1)]
_Scale = Annotated[int, Rule("above 1", lambda value: value > 1)]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Winograd:
    """The MAC array's fast 3×3 convolutions.

    Attributes:
      macs: products per tile of 2×2 outputs and sub-filter of 3×3 taps.
      block_pixels: the largest block of accumulators with which it works in two dimensions.
      transform_cycles: cycles of the weights' transform, per sub-filter, input channel and block of outputs.
    """

    macs: _Count
    block_pixels: _Count
    transform_cycles: _Cost


@dataclasses.dataclass(frozen=True, kw_only=True)
class Blocks:
    """How an array makes its output in blocks, one after another, fetching the input of each anew.

    Such an array works straight from and to DRAM. Nothing lies on chip except what flows inside a cascade,
    in buffers of two stripes with their overlap; `Stripes.base`, `columns` and `depths` do not apply.

    Attributes:
      micro: heights, widths and channels of the smallest pieces; an output takes the first of those that
        pad it least. All have the same number of elements.
      largest: the largest height and width of a block.
      input_bytes: size of the buffer for the input of a block and of the next one.
      sum_bytes: size of the buffer for their sums, of 4 bytes each.
      kernel: the largest side of a kernel; larger kernels run in parts, each of which reads the input.
      scale_cycles: cycles for the scale and the bias of one output channel, which every block reads again.
      weight_share: the share of their bytes that weights take on chip, where they are compressed.
      port_bytes: bytes per cycle from and to the chip's memory, before the first block and after the last.
    """

    micro: Annotated[tuple[tuple[_Count, _Count, _Count], ...], _SOME]
    largest: _Count
    input_bytes: _Count
    sum_bytes: _Count
    kernel: _Count
    scale_cycles: _Cost
    weight_share: _Share
    port_bytes: _Count


@dataclasses.dataclass(frozen=True, kw_only=True)
class Mac:
    """The MAC array.

    Attributes:
      macs_per_cycle: its peak.
      inputs: how many input channels it takes at once; more take turns, fewer leave units idle.
      input_step: input channels fewer than `inputs` are padded to a multiple of this; 0 pads to all lanes.
      outputs: how many output channels it computes at once.
      depthwise: how many channels of a depthwise convolution it computes at once.
      depthwise_macs: its products per cycle in a depthwise convolution, whose taps are padded to the largest
        of `tap_groups`; a convolution of one channel may then run as one. 0 means one tap of `depthwise`
        channels per pixel.
      depthwise_pixels: the weights of a depthwise convolution take as long as so many pixels of output.
      pool_macs: elements per cycle of a pooling's windows, each of which counts at least the largest of
        `tap_groups`; 0 means as in a depthwise convolution.
      pixels: height and width to whose multiples output maps are padded.
      tap_groups: how many taps of a kernel may share the input lanes, so that few channels fill them; of
        several numbers, the fastest is taken. 0 means any number.
      tap_fill: for a compiler that chooses among them not by time, but by how far the lanes are filled: taps
        count in groups of the first number, and a remainder counts at least the second.
      row_taps: whether the taps of a kernel share the input lanes: all of them where they fit with all of
        their channels, or else those of a row.
      output_cycles: cycles in which the array rests to make the output's codes of a patch of the vector
        engine's, of all its lanes; 0 where that happens beside it.
      sparse: the most input channels at which half of the products are skipped: an array that skips two zeros
        in every four weights finds them in the padding.
      blocks: how it works in blocks; None where it reads the input once.
      efficiency: the share of the peak that a fully used array sustains.
      winograd: its fast 3×3 convolutions; None where it has none.
    """

    macs_per_cycle: _Count
    inputs: _Count
    outputs: _Count
    depthwise: _Count
    pixels: tuple[_Count, _Count]
    input_step: _Size = 0
    tap_groups: Annotated[tuple[_Size, ...], _SOME] = (1,)
    tap_fill: tuple[_Count, ...] = ()
    row_taps: bool = False
    output_cycles: _Cost = 0
    sparse: _Size = 0
    depthwise_macs: _Size = 0
    depthwise_pixels: _Size = 0
    pool_macs: _Size = 0
    blocks: Blocks | None = None
    efficiency: _Share = 1.0
    winograd: Winograd | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class Vector:
    """The engine for everything that is no convolution; `OpRule.cycles` are its costs.

    Attributes:
      lanes: how many channels it processes at once.
      patch: height and width of the piece of a map for which an operation's cycles are given.
      behind_mac: whether the MAC array's results pass through it, and its own inputs through the
        array, as in Arm's PLE; otherwise it works beside the array.
      pass_cycles: cycles of a patch that only passes through.
      blocks: (width, height) of the blocks of accumulators that the array may hand over.
      default_block: the index of the block of a cascade whose first pass does not use the array.
      block_cycles: overhead per block.
      calls: for each of `blocks`, the most blocks, side by side, that one call of a program takes;
        a stripe of fewer blocks takes those that it has.
      call_cycles: overhead per call.
      program_bytes: on-chip memory that each program in use takes.
    """

    lanes: _Count
    patch: tuple[_Count, _Count]
    behind_mac: bool = False
    pass_cycles: _Cost = 0
    blocks: Annotated[tuple[tuple[_Count, _Count], ...], _SOME] = ((1, 1),)
    default_block: _Size = 0
    block_cycles: _Cost = 0
    calls: tuple[_Count, ...] = (1,)
    call_cycles: _Cost = 0
    program_bytes: _Size = 0


@dataclasses.dataclass(frozen=True, kw_only=True)
class Memory:
    """On-chip memory, DRAM, and how tensors lie in both.

    Attributes:
      sram_bytes: size of the on-chip memory for activations and weights.
      dram_bytes_per_cycle: bandwidth of the bus, in each direction where it is `duplex`.
      duplex: whether reads and writes have a bus each.
      read_bytes_per_cycle: the most at which one tensor is read, where latency and the requests in
        flight are the limit before the bus is; 0 where they are not.
      sram_brick: height, width and channels to whose multiples a stripe is padded on chip.
      dram_brick: the same for a tensor in DRAM, except the network's own input and output.
      sram_granule: bytes to whose multiple each buffer is padded.
      burst_bytes: size of the smallest transfer. Fewer bytes that lie together take a whole one, as in a map
        without bricks of which a convolution takes or makes some channels; 0 means any size.
      border: rows or columns that travel with a stripe where a stripe beside it overlaps.
      transfer_cycles: overhead per transfer.
      transfer_minimum_cycles: the shortest time of a transfer.
      cells: heights, widths and channels of the pieces in which tensors between layers can be
        compressed; none where they cannot. Where a cut goes through the cells, or there are none,
        each row of bricks of a stripe is a transfer of its own.
      converts_input: whether a first layer that is cut in both directions needs the input in bricks,
        which a copy makes before it.
    """

    sram_bytes: _Count
    dram_bytes_per_cycle: _Rate
    duplex: bool = False
    read_bytes_per_cycle: _Cost = 0
    sram_brick: tuple[_Count, _Count, _Count] = (1, 1, 1)
    dram_brick: tuple[_Count, _Count, _Count] = (1, 1, 1)
    sram_granule: _Count = 1
    burst_bytes: _Size = 0
    border: _Count = 1
    transfer_cycles: _Cost = 0
    transfer_minimum_cycles: _Cost = 0
    cells: tuple[tuple[_Count, _Count, _Count], ...] = ()
    converts_input: bool = False


@dataclasses.dataclass(frozen=True, kw_only=True)
class Stripes:
    """How a compiler cuts tensors and chains layers.

    Attributes:
      cascades: the most layers through which stripes may flow on chip; 1 means layer by layer.
      columns: whether a layer outside of cascades may cut its width too.
      depths: whether a layer outside of cascades may cut its output channels too.
      base: rows and columns; the sizes of stripes are powers of two times these.
      cycles: overhead per stripe in either engine.
      minimum_cycles: the shortest time of a stripe in either engine.
      layer_cycles: overhead per layer.
      branches: whether a tensor that several layers read may flow through a cascade in stripes.
      byte_cycles: what the compiler pays for a byte less of traffic, where the bus is not the limit.
    """

    cascades: _Count
    columns: bool
    depths: bool
    base: tuple[_Count, _Count]
    cycles: _Cost = 0
    minimum_cycles: _Cost = 0
    layer_cycles: _Cost = 0
    byte_cycles: _Cost = 0
    branches: bool = True


@dataclasses.dataclass(frozen=True, kw_only=True)
class Energy:
    """Picojoules per MAC and per byte over the DRAM's bus; nothing else is counted."""

    mac: _Cost
    dram_byte: _Cost


@dataclasses.dataclass(frozen=True, kw_only=True)
class OpRule:
    """How one operation runs, and which of its forms do. Empty tuples allow everything.

    A rule called ``max_pool_3x3`` is for that window only and goes before one called ``max_pool``; one
    called ``*`` is for all operations without a rule.

    Attributes:
      engine: "mac", "vector", "copy" (a transfer from DRAM to DRAM), "none" for an operation that
        costs nothing, or "refused" for one that does not run.
      note: why it is refused.
      cycles: cycles of the vector engine for one patch of all its lanes.
      stripe_cycles: the vector engine's overhead per stripe, where it differs from `Stripes.cycles`.
      fuses: whether it runs on a convolution's results without a pass of its own.
      counts_scalars: whether an operation with one number is a pass too; otherwise it is a change of
        scale and zero point, which costs nothing.
      joins: whether it reads two tensors side by side, or one twice, so that no stripes flow into it or
        out of it; it then runs on the results of a convolution that makes one of the two.
      kernels: allowed heights and widths of kernels.
      strides: allowed strides, the same in both directions.
      dilations: allowed dilations, which cost what a kernel without them costs.
      scales: allowed factors: blocks of depth_to_space, scales of resizing.
      maps: allowed heights and widths of a mean's input.
      groups: "any", "depthwise" (one group, or one per channel) or "one".
      strided_by: the operation that must reorder the input of a strided convolution first.
      inline_kernel: the largest kernel of a transposed convolution that inserts zeros while it
        reads; for a larger one, a pass of its own inserts them. 0 means any.
      channel_multiple: what the channels of inputs and outputs must be multiples of, where they differ.
      broadcasts: whether operands may differ in shape.
      operands: the most activations that are read at once; 0 means any number.
    """

    engine: Literal["mac", "vector", "copy", "none", "refused"]
    note: str = ""
    cycles: _Cost = 0
    stripe_cycles: _Cost | None = None
    fuses: bool = False
    counts_scalars: bool = False
    joins: bool = False
    kernels: tuple[_Size, ...] = ()
    strides: tuple[_Size, ...] = ()
    dilations: tuple[_Size, ...] = (1,)
    scales: tuple[_Scale, ...] = ()
    maps: tuple[_Size, ...] = ()
    groups: Literal["any", "depthwise", "one"] = "any"
    strided_by: str = ""
    inline_kernel: _Size = 0
    channel_multiple: _Count = 1
    broadcasts: bool = True
    operands: _Size = 0


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Target:
    """An NPU.

    Attributes:
      name: the name of its file.
      title: its name for people.
      bits: of an element of a tensor; 8 is INT8, 16 is F16, 32 is F32.
      untimed_bits: of integers with which it computes too, at a speed that this file does not state.
      clock_hz: the clock of all engines.
      mac: the MAC array.
      vector: the engine for the rest.
      memory: on and off chip.
      stripes: how layers are cut and chained.
      ops: the rules for operations, by the names of `sesr_jax.ops` and of `OPERATORS`.
      energy: None where nothing is known.
      compiler: the name of the vendor's compiler and its options (`npu.compilers`); None where it has none.
      sources: where each figure comes from, by dotted name.
    """

    name: str
    title: str
    bits: Literal[8, 16, 32]
    untimed_bits: tuple[int, ...] = ()
    clock_hz: _Rate
    mac: Mac
    vector: Vector
    memory: Memory
    stripes: Stripes
    ops: Mapping[str, OpRule]
    energy: Energy | None = None
    compiler: Mapping[str, str] | None = None
    sources: Mapping[str, str]

    @property
    def tops(self) -> float:
        """Peak operations per second, two per MAC, in 10¹²."""
        return 2 * self.mac.macs_per_cycle * self.clock_hz / 1e12

    @property
    def compresses(self) -> bool:
        """Whether tensors between layers can be compressed."""
        return bool(self.memory.cells)

    @property
    def streams(self) -> bool:
        """Whether the array works straight from and to DRAM (`Blocks`)."""
        return self.mac.blocks is not None

    @property
    def uncertain(self) -> tuple[str, ...]:
        """The figures that are assumed or fitted, in whole or in part."""
        return tuple(
            name
            for name, source in self.sources.items()
            if "assumed" in source or "fitted" in source
        )
