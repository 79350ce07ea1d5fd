"""The NPUs that can be simulated, as data.

    target = find_target("ethos-n78-4tops")

Sources, named in the comments below:
  [caps] Arm Ethos-N driver stack 25.03, `CapabilitiesInternal.cpp`: the hardware's sizes.
  [est]  the same, `EstimationUtils.cpp`: the open estimator's constants.
  [sup]  the same, `SUPPORTED.md`: the operators.

The 1 and 2 TOPS variants are absent: no published figure is at hand to check them against.
"""

import dataclasses
from collections.abc import Mapping
from types import MappingProxyType

from sesr_jax.errors import InputError


@dataclasses.dataclass(frozen=True, kw_only=True)
class Target:
    """An NPU of engines, each with MAC units, a vector engine (PLE) and a share of the SRAM.

    Attributes:
      name: its key in `TARGETS`.
      engines: their number.
      inputs_per_engine: input feature maps that an engine reads at once.
      outputs_per_engine: output feature maps that an engine computes at once.
      macs_per_unit: MACs a cycle of one (input, output) pair: pixels in flight.
      ple_lanes: channels that one engine's vector engine processes at once.
      sram_bytes: on-chip memory for activations and weights.
      clock_hz: of MAC and vector engines.
      dram_bytes_per_cycle: each way.
      brick: height, width and channels to which tensors are padded in SRAM.
      bits: of a tensor element.
      kernel_sizes: heights and widths of supported kernels.
      strides: supported, of convolutions.
      ple_cycles: the vector engine's cycles for one 4×4 patch of a lane, by its kernel's name.
      ple_stripe_cycles: its overhead a stripe where it is not `stripe_cycles`, by kernel.
      ple_block_cycles: its overhead for each block of accumulators handed over.
      ple_group_cycles: its overhead for each `ple_group_pixels` pixels.
      ple_group_pixels: the pixels of a call of its kernel.
      winograd_block_pixels: the largest block of accumulators under 2-D Winograd.
      winograd_macs: products of one Winograd tile of outputs, for each sub-filter of 3 taps.
      stripe_cycles: overhead of a stripe in any unit.
      stripe_minimum_cycles: the least time that a stripe takes in any unit.
    """

    name: str
    engines: int
    inputs_per_engine: int
    outputs_per_engine: int
    macs_per_unit: int
    ple_lanes: int
    sram_bytes: int
    clock_hz: float
    dram_bytes_per_cycle: float
    brick: tuple[int, int, int]
    bits: int
    kernel_sizes: frozenset[int]
    strides: frozenset[tuple[int, int]]
    ple_cycles: Mapping[str, int]
    ple_stripe_cycles: Mapping[str, int]
    ple_block_cycles: int
    ple_group_cycles: int
    ple_group_pixels: int
    winograd_block_pixels: int
    winograd_macs: int
    stripe_cycles: int
    stripe_minimum_cycles: int

    @property
    def input_channels(self) -> int:
        """Input channels read at once; more are taken in turns, fewer leave units idle."""
        return self.engines * self.inputs_per_engine

    @property
    def output_channels(self) -> int:
        """Output channels computed at once."""
        return self.engines * self.outputs_per_engine

    @property
    def macs_per_cycle(self) -> int:
        """The array's peak."""
        return self.input_channels * self.output_channels * self.macs_per_unit


def _ethos_n78(
    name: str, *, engines: int, inputs: int, outputs: int, ple_lanes: int, sram_kb: int
) -> Target:
    return Target(
        name=name,
        engines=engines,
        inputs_per_engine=inputs,
        outputs_per_engine=outputs,
        macs_per_unit=8,  # [caps] m_MacUnitsPerOg
        ple_lanes=ple_lanes,
        sram_bytes=sram_kb * 1024,
        clock_hz=1e9,  # 2048 MACs a cycle are sold as 4 TOPS
        dram_bytes_per_cycle=16,  # [est] dmaBytesPerCycle
        brick=(8, 8, 16),  # [caps] m_BrickGroupShape
        bits=8,  # [sup]
        kernel_sizes=frozenset({1, 2, 3, 5, 7, 9}),  # [sup]
        strides=frozenset({(1, 1), (2, 2)}),  # [sup]
        ple_cycles=MappingProxyType(  # [est] GetPleCyclesPerPatch
            {
                "passthrough": 6,
                "downsample_2x2": 10,
                "interleave_2x2": 13,
                "max_pool_2x2": 13,
                "add": 15,
                "leaky_relu": 37,
                "max_pool_3x3": 37,
                "mean": 37,
                "sigmoid": 41,
                "average_pool_3x3": 97,
            }
        ),
        ple_stripe_cycles=MappingProxyType({"add": 1500}),  # [est] GetPleStripeOverhead
        ple_block_cycles=10,  # [est] overheadPerBlock
        ple_group_cycles=100,  # [est] overheadPerMultipliedBlock
        ple_group_pixels=256,  # block × multiplier of every kernel in the stack's PLE library
        winograd_block_pixels=128,  # [caps] 8 × 64 accumulators, of which a 2×2 output takes four
        winograd_macs=16,  # [caps] GetMacsPerWinogradOutputBlock
        stripe_cycles=100,  # [est] perStripeOverheadCycles
        stripe_minimum_cycles=2500,  # [est] perStripeMinimumCycles
    )


TARGETS: Mapping[str, Target] = MappingProxyType(
    {
        target.name: target
        for target in (  # [caps] GetEthosN78FwHwCapabilities
            # 4TOPS_4PLE_RATIO, the stack's default
            _ethos_n78(
                "ethos-n78-4tops", engines=8, inputs=2, outputs=2, ple_lanes=2, sram_kb=1024
            ),
            # 4TOPS_2PLE_RATIO
            _ethos_n78(
                "ethos-n78-4tops-2ple", engines=4, inputs=4, outputs=4, ple_lanes=2, sram_kb=1024
            ),
            # 8TOPS_2PLE_RATIO
            _ethos_n78(
                "ethos-n78-8tops", engines=8, inputs=2, outputs=4, ple_lanes=2, sram_kb=2048
            ),
        )
    }
)
"""Every target by name."""


def find_target(name: str) -> Target:
    """The target called `name`.

    Raises:
      InputError: there is none.
    """
    if name not in TARGETS:
        raise InputError(f"Unknown target {name!r}; choose one of {', '.join(TARGETS)}.")
    return TARGETS[name]
