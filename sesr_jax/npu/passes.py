"""A pass: one trip of a map through the MAC array, through the vector engine, or from DRAM to DRAM.

`npu.lowering` turns layers into passes.
"""

import dataclasses

from sesr_jax.npu.engines import Convolution
from sesr_jax.npu.layers import Map4


@dataclasses.dataclass(frozen=True, kw_only=True)
class Pass:
    """What an NPU does in one trip of a map.

    Attributes:
      name: the layer's name, with a suffix where the layer takes several passes.
      op: the operation.
      layer: the layer's name.
      inputs: the tensors that it reads, without constants.
      input_shapes: their shapes, ``[1, H, W, C]``.
      output: the tensor that it writes.
      output_shape: its shape, ``[1, H, W, C]``.
      engine: the engine that leads: "mac", "vector" or "copy".
      conv: what the MAC array computes; None where it rests.
      patch_cycles: the vector engine's cycles for one patch.
      vector_map: the map that goes through the vector engine.
      stripe_cycles: the vector engine's overhead per stripe.
      reach: rows (and columns) of input beyond an output pixel's own, before and after it.
      upscales: how many rows of output one row of input makes; 1 where the map does not grow.
      appended: whether an operation of its own runs on the convolution's results.
      joined: whether no stripes flow into it or out of it.
      weight_bytes: bytes of constants, which are read once.
      macs: the multiply-accumulates of the layer that this pass does; 0 in its auxiliary passes.
      flag: why the target cannot run it; "" if it can.
    """

    name: str
    op: str
    layer: str
    inputs: tuple[str, ...]
    output: str
    output_shape: Map4
    engine: str
    conv: Convolution | None = None
    patch_cycles: float = 0
    vector_map: tuple[int, int, int] = (0, 0, 0)
    stripe_cycles: float = 0
    reach: tuple[int, int] = (0, 0)
    upscales: int = 1
    appended: bool = False
    joined: bool = False
    weight_bytes: int = 0
    macs: int = 0
    flag: str = ""
    input_shapes: tuple[Map4, ...] = ()

    @property
    def overlaps(self) -> bool:
        """Whether a stripe of output needs more than the stripe of input that it lies on."""
        return self.reach != (0, 0) and (self.conv is None or self.conv.kernel != (1, 1))

    @property
    def without_names(self) -> "Pass":
        """The same work without names and flags: all that its cost depends on."""
        inputs = tuple(str(self.inputs.index(name)) for name in self.inputs)
        return dataclasses.replace(
            self, name="", layer="", inputs=inputs, output="", macs=0, flag=""
        )
