"""What an NPU is, as data: one TOML file a target of this folder.

    target = find_target("ethos-n78-4tops")          # by its file's name
    target = find_target("mine/next_chip.toml")      # or any file

A file fills the dataclasses below. ``[sources]`` says where each figure of the file comes from, by its
dotted name or by that of a table that holds it; a figure without a source is refused, and one that nobody
has published says "assumed". ``like = "ethos-n78-4tops"`` takes from another file what this one leaves
out, sources included; that file may be like another.

Units: bytes, hertz, cycles of the target's clock. A new target is one file.
"""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Annotated, Any, Literal


@dataclasses.dataclass(frozen=True)
class _Rule:
    """What a figure must be beside its type: in words, and whether it is."""

    text: str
    holds: Callable[[Any], bool]


_POSITIVE = _Rule("above 0", lambda value: value > 0)
_SOME = _Rule("no empty list", bool)
_Count = Annotated[int, _POSITIVE]
_Rate = Annotated[float, _POSITIVE]
_Share = Annotated[float, _Rule("above 0 and at most 1", lambda value: 0 < value <= 1)]
_Scale = Annotated[int, _Rule("above 1", lambda value: value > 1)]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Winograd:
    """The MAC array's fast 3×3 convolutions.

    Attributes:
      macs: products of one tile of 2×2 outputs, for each sub-filter of 3×3 taps.
      block_pixels: the largest block of accumulators with which it works in two dimensions.
      transform_cycles: for the transform of one sub-filter of one input channel, a block of outputs.
    """

    macs: _Count
    block_pixels: _Count
    transform_cycles: float


@dataclasses.dataclass(frozen=True, kw_only=True)
class Blocks:
    """The pieces of output that an array makes one after another, fetching the input of each anew.

    Such an array works straight from and to DRAM. Nothing lies on chip but what flows inside a cascade, in
    buffers of two stripes with their overlap; `Stripes.base`, `columns` and `depths` do not apply.

    Attributes:
      micro: heights, widths and channels of the least pieces; an output takes the first of those that
        pad it least. All have as many elements.
      largest: height and width of a block.
      input_bytes: of the buffer for the input of a block and of the next.
      sum_bytes: of that for their sums, of 4 bytes each.
      kernel: the largest side; larger kernels run in parts, each of which reads the input.
      scale_cycles: for the scale and bias of one output channel, which each block reads too.
      weight_share: of their bytes, that weights take on chip, where they are compressed.
      port_bytes: a cycle, from and to the chip's memory: before the first block and after the last.
    """

    micro: Annotated[tuple[tuple[_Count, _Count, _Count], ...], _SOME]
    largest: _Count
    input_bytes: _Count
    sum_bytes: _Count
    kernel: _Count
    scale_cycles: float
    weight_share: _Share
    port_bytes: _Count


@dataclasses.dataclass(frozen=True, kw_only=True)
class Mac:
    """The MAC array.

    Attributes:
      macs_per_cycle: its peak.
      inputs: input channels taken at once; more come in turns, fewer leave units idle.
      input_step: channels to whose multiple fewer are padded; 0 is all lanes.
      outputs: output channels computed at once.
      depthwise: channels of a depthwise convolution computed at once.
      depthwise_macs: its products a cycle, the taps padded to the largest of `tap_groups`; a
        convolution of one channel may then run as one. 0 is one tap of `depthwise` channels a pixel.
      depthwise_pixels: of output, the fewest in whose time weights of a depthwise convolution arrive.
      pool_macs: elements a cycle that windows of poolings take, each of which counts as no less than
        the largest of `tap_groups`; 0 is as in a depthwise convolution.
      pixels: height and width to which output maps are padded.
      tap_groups: taps of a kernel that may share the input lanes, so that few channels fill them; of
        several, the fastest is taken. 0 is any number.
      tap_fill: how a compiler chooses among them where it is not by time: by how much of the lanes
        is filled, the taps counted in groups of the first number, a rest as no less than the second.
      sparse: the most input channels at which half of the products are skipped, as an array does
        that needs two weights of four channels: the others' are zeros of the padding.
      blocks: None where the input is read once.
      efficiency: the share of the peak that a fully used array sustains.
      winograd: None where the array has no such mode.
    """

    macs_per_cycle: _Count
    inputs: _Count
    outputs: _Count
    depthwise: _Count
    pixels: tuple[_Count, _Count]
    input_step: int = 0
    tap_groups: Annotated[tuple[int, ...], _SOME] = (1,)
    tap_fill: tuple[_Count, ...] = ()
    sparse: int = 0
    depthwise_macs: int = 0
    depthwise_pixels: int = 0
    pool_macs: int = 0
    blocks: Blocks | None = None
    efficiency: _Share = 1.0
    winograd: Winograd | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class Vector:
    """The engine for everything that is no convolution; `OpRule.cycles` are its costs.

    Attributes:
      lanes: channels processed at once.
      patch: height and width of the piece of a map for which an operation's cycles are given.
      behind_mac: whether the MAC array's results pass through it, and its own inputs through the
        array: Arm's PLE. Else it works beside the array.
      pass_cycles: of a patch that only passes through.
      blocks: (width, height) of the blocks of accumulators that the array may hand over.
      default_block: the index of that of a cascade whose first pass does not use the array.
      block_cycles: overhead of a block.
      calls: for each of `blocks`, the most blocks, side by side, that one call of a kernel takes;
        a stripe of fewer takes what is there.
      call_cycles: overhead of a call.
      program_bytes: on-chip memory that each kernel in use takes.
    """

    lanes: _Count
    patch: tuple[_Count, _Count]
    behind_mac: bool = False
    pass_cycles: float = 0
    blocks: Annotated[tuple[tuple[_Count, _Count], ...], _SOME] = ((1, 1),)
    default_block: int = 0
    block_cycles: float = 0
    calls: tuple[_Count, ...] = (1,)
    call_cycles: float = 0
    program_bytes: int = 0


@dataclasses.dataclass(frozen=True, kw_only=True)
class Memory:
    """On-chip memory, DRAM, and how tensors lie in both.

    Attributes:
      sram_bytes: for activations and weights.
      dram_bytes_per_cycle: of the bus, each way where it is `duplex`.
      duplex: whether reads and writes have a bus each.
      read_bytes_per_cycle: the most at which one tensor is read, where latency and the requests in
        flight bind before the bus does; 0 where they do not.
      sram_brick: height, width and channels to which a stripe is padded on chip.
      dram_brick: to which a tensor is padded in DRAM; the network's own input and output are not.
      sram_granule: bytes to which each buffer is padded.
      burst_bytes: of the least transfer, which a run of fewer bytes takes whole, as those of a map
        without bricks where a convolution takes or makes some of its channels; 0 is any.
      border: rows or columns that travel with a stripe where a stripe beside it overlaps.
      transfer_cycles: overhead of one transfer.
      transfer_minimum_cycles: the least time of one.
      cells: heights, widths and channels of the pieces in which tensors between layers can be
        compressed; none where they cannot. Where a cut goes through the cells, or there are none,
        each run of bricks of a stripe is a transfer of its own.
      converts_input: whether a first layer that is cut in both directions needs the input in bricks,
        which a copy makes before it.
    """

    sram_bytes: _Count
    dram_bytes_per_cycle: _Rate
    duplex: bool = False
    read_bytes_per_cycle: float = 0
    sram_brick: tuple[_Count, _Count, _Count] = (1, 1, 1)
    dram_brick: tuple[_Count, _Count, _Count] = (1, 1, 1)
    sram_granule: _Count = 1
    burst_bytes: int = 0
    border: int = 1
    transfer_cycles: float = 0
    transfer_minimum_cycles: float = 0
    cells: tuple[tuple[_Count, _Count, _Count], ...] = ()
    converts_input: bool = False


@dataclasses.dataclass(frozen=True, kw_only=True)
class Stripes:
    """How a compiler cuts tensors and chains layers.

    Attributes:
      cascades: the most layers through which stripes may flow on chip; 1 is layer by layer.
      columns: whether a layer alone may cut its width too.
      depths: whether a layer alone may cut its output channels too.
      base: rows and columns of which stripes are multiples (by powers of two).
      cycles: overhead of a stripe in either engine.
      minimum_cycles: the least time that it takes there.
      layer_cycles: overhead of a layer.
      branches: whether a tensor that several layers read may flow through a cascade in stripes.
      byte_cycles: that the compiler gives to save a byte of traffic, where the bus is not what binds.
    """

    cascades: _Count
    columns: bool
    depths: bool
    base: tuple[_Count, _Count]
    cycles: float = 0
    minimum_cycles: float = 0
    layer_cycles: float = 0
    byte_cycles: float = 0
    branches: bool = True


@dataclasses.dataclass(frozen=True, kw_only=True)
class Energy:
    """Picojoules of one MAC and of one byte over the DRAM's bus; nothing else is counted."""

    mac: float
    dram_byte: float


@dataclasses.dataclass(frozen=True, kw_only=True)
class OpRule:
    """How one operation runs, and which of its forms do. Empty tuples allow everything.

    A rule called ``max_pool_3x3`` is for that window alone and goes before one called ``max_pool``; one
    called ``*`` is for all that has none.

    Attributes:
      engine: "mac", "vector", "copy" (a transfer from DRAM to DRAM), "none" for an operation that
        costs nothing, or "refused" for one that does not run.
      note: why it is refused.
      cycles: of the vector engine, for one patch of all its lanes.
      stripe_cycles: the vector engine's overhead a stripe, where it differs from `Stripes.cycles`.
      fuses: whether it runs on a convolution's results at no pass of its own.
      counts_scalars: whether it is a pass of its own with one number too, which else is a change of
        scale and zero point.
      joins: whether it reads two tensors side by side, or one twice, so that no stripes flow into it or
        out of it; it then runs on the results of a convolution that makes one of two.
      kernels: allowed heights and widths of kernels.
      strides: allowed strides, the same in both directions.
      dilations: those of a kernel whose cost is modelled as that of one without.
      scales: allowed factors: blocks of depth_to_space, scales of resizing.
      maps: allowed heights and widths of a mean's input.
      groups: "any", "depthwise" (one, or one a channel) or "one".
      strided_by: the operation that must reorder the input of a strided convolution first.
      inline_kernel: the largest kernel of a transposed convolution whose zeros are inserted as it
        reads; above, a pass of its own inserts them. 0 is any.
      channel_multiple: of all inputs and outputs where they differ.
      broadcasts: whether operands may differ in shape.
      operands: the most activations read at once; 0 is any number.
    """

    engine: Literal["mac", "vector", "copy", "none", "refused"]
    note: str = ""
    cycles: float = 0
    stripe_cycles: float | None = None
    fuses: bool = False
    counts_scalars: bool = False
    joins: bool = False
    kernels: tuple[int, ...] = ()
    strides: tuple[int, ...] = ()
    dilations: tuple[int, ...] = (1,)
    scales: tuple[_Scale, ...] = ()
    maps: tuple[int, ...] = ()
    groups: Literal["any", "depthwise", "one"] = "any"
    strided_by: str = ""
    inline_kernel: int = 0
    channel_multiple: _Count = 1
    broadcasts: bool = True
    operands: int = 0


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Target:
    """An NPU.

    Attributes:
      name: its file's.
      title: for people.
      bits: of a tensor element; 8 is INT8, 16 is F16.
      clock_hz: of all engines.
      mac: the MAC array.
      vector: the engine for the rest.
      memory: on and off chip.
      stripes: how layers are cut and chained.
      ops: the operations that it runs, by the names of `sesr_jax.ops` and of `OPERATORS`.
      energy: None where nothing is known.
      compiler: the vendor's, by "name", and its options (`npu.compilers`); None where there is none.
      sources: where each figure comes from, by dotted name.
    """

    name: str
    title: str
    bits: Literal[8, 16]
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
        """Peak operations (two a MAC) a second, in 10¹²."""
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
