"""The ways to cut a pass into stripes.

All ways are handled at once: every field of `Cuts` is an array with one entry per way. The sizes of
stripes are powers of two of a base, as in Arm's compiler for Ethos-N (driver stack 25.03).
"""

import dataclasses
import functools
import math
from typing import TypeAlias

import numpy as np

from sesr_jax.npu.engines import round_up
from sesr_jax.npu.passes import Pass
from sesr_jax.targets import Target

Array: TypeAlias = np.ndarray
Number: TypeAlias = np.ndarray | float


@dataclasses.dataclass(frozen=True)
class Cuts:
    """Ways to cut a pass, as arrays of one length.

    Attributes:
      rows: of a stripe of input.
      columns: of a stripe of input.
      channels: of a stripe of output.
      block: an index into the target's blocks of accumulators.
      in_slots: how many stripes of input lie on chip at once.
      out_slots: how many stripes of output do.
      weight_slots: how many stripes of weights do.
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
        return Cuts(*(getattr(self, name)[index] for name in _FIELDS))


_FIELDS = tuple(field.name for field in dataclasses.fields(Cuts))


@dataclasses.dataclass(frozen=True)
class StripedPass:
    """A pass on a target, to be cut into stripes.

    Attributes:
      work: the pass.
      target: the NPU.
      saving: the share that compression saves of tensors between passes.
      wanted_slots: how many stripes of output the passes that read it need at once.
      wanted_rows: how many more rows they need of each.
    """

    work: Pass
    target: Target
    saving: float
    wanted_slots: int
    wanted_rows: int

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of what is cut, which is the input."""
        p = self.work
        return p.input_shapes[0][1:3] if p.inputs else p.output_shape[1:3]

    @property
    def reads_all_channels(self) -> bool:
        """Whether each output channel reads all input channels."""
        conv = self.work.conv
        return conv is not None and conv.groups == 1

    def get_input_shape(self, name: str) -> tuple[int, int, int, int]:
        """Returns the shape of one of its inputs."""
        return self.work.input_shapes[self.work.inputs.index(name)]

    def count_stripes(self, cuts: Cuts) -> tuple[Array, Array, Array]:
        """Returns how many stripes lie in height, in width and in output channels."""
        h, w = self.size
        depth = self.work.output_shape[3]
        return -(-h // cuts.rows), -(-w // cuts.columns), -(-depth // cuts.channels)

    def count_border_rows(self, n_h: Array, n_w: Array) -> Array:
        """Returns how many rows are loaded again with each stripe, as they are not kept from its neighbours.

        Args:
          n_h: how many stripes lie in height.
          n_w: how many lie in width.
        """
        step = self.target.memory.border
        before, after = (round_up(n, step) if n else 0 for n in self.work.reach)
        return ((n_h > 1) & (n_w > 1)) * (before + after)

    def measure_output_stripe(self, cuts: Cuts) -> tuple[Array, Array]:
        """Returns rows and columns of a stripe of what the pass leaves on chip."""
        _, out_h, out_w, _ = self.work.output_shape
        h, w = self.size
        rows = np.minimum(-(-np.minimum(cuts.rows, h) * out_h // h), out_h)
        columns = np.minimum(-(-np.minimum(cuts.columns, w) * out_w // w), out_w)
        return np.where(cuts.whole_output, out_h, rows), np.where(cuts.whole_output, out_w, columns)


def list_cuts(striped: StripedPass, *, starts_cascade: bool) -> Cuts:
    """Returns every way to cut a pass that runs by itself, or that is the first of a cascade."""
    target, p = striped.target, striped.work
    h, w = striped.size
    channels = p.output_shape[3]
    if p.engine == "copy" or target.streams:
        return cut_into_rows(striped, h)
    blocks = list(enumerate(target.vector.blocks))
    if p.conv is None:
        blocks = [(target.vector.default_block, (1, 1))]
    scale_h, scale_w = p.output_shape[1] / h, p.output_shape[2] / w
    single = not starts_cascade
    both_ways = single and target.stripes.columns and not p.appended
    deep = single and target.stripes.depths and striped.reads_all_channels and not p.appended
    shapes: set[tuple[int, int, int, int, bool]] = set()
    for block, (block_w, block_h) in blocks:
        base_h = _find_base(target.stripes.base[0], block_h, scale_h)
        base_w = _find_base(target.stripes.base[1], block_w, scale_w)
        rows = _list_powers_below(h, base_h)
        columns = _list_powers_below(w, base_w) if target.stripes.columns else ()
        shapes |= {(r, w, channels, block, False) for r in (*rows, h)}
        shapes |= {(h, c, channels, block, False) for c in columns}
        if starts_cascade:
            shapes |= {(r, w, channels, block, True) for r in rows}
        grid = [
            (min(r, h), min(c, w))
            for r in _list_powers_to(h, base_h)
            for c in (_list_powers_to(w, base_w) if target.stripes.columns else (w,))
        ]
        if both_ways:
            shapes |= {(r, c, channels, block, False) for r, c in grid}
        if deep and channels > target.mac.outputs:
            step = target.mac.outputs
            shapes |= {(h, w, depth, block, False) for depth in _list_powers_below(channels, step)}
            shapes |= {(r, c, step, block, False) for r, c in grid}
    # Of equal costs, the first is taken: the smallest stripes in the smallest blocks.
    return _with_slots(striped, np.array(sorted(shapes), int).T, single=single)


def _with_slots(striped: StripedPass, table: Array, *, single: bool) -> Cuts:
    """Returns the cuts in `table` with every number of stripes on chip that makes a difference."""
    h, w = striped.size
    rows, columns, channels, block, whole = table
    n_h, n_w = -(-h // rows), -(-w // columns)
    n_c = -(-striped.work.output_shape[3] // channels)
    needed = 1 + sum(n > 0 for n in striped.work.reach)
    # Columns go before rows.
    least = np.minimum(needed, np.where(n_w > 1, n_w, n_h))
    found = []
    for more in (0, 1) if striped.work.conv is not None else (0,):
        in_slots = np.minimum(least + more if striped.work.conv else 2, n_h * n_w)
        for out in (1, 2) if single else (striped.wanted_slots,):
            out_slots = np.where(whole, 1, np.minimum(out, n_h * n_w * n_c))
            for weights in (1, 2) if single else (1,):
                keep = (in_slots >= least + more) | (more == 0)
                keep &= (out_slots == out) | (not single)
                keep &= (n_c > 1) | (weights == 1)
                slots = np.full_like(rows, weights)
                cuts = Cuts(rows, columns, channels, block, in_slots, out_slots, slots, whole > 0)
                found.append(cuts[np.flatnonzero(keep)])
    return Cuts(*(np.concatenate([getattr(cuts, name) for cuts in found]) for name in _FIELDS))


def cut_into_rows(striped: StripedPass, rows: int) -> Cuts:
    """Returns the one way to cut a pass into stripes of `rows` rows of input; it may have fewer."""
    h, w = striped.size
    one = np.ones(1, int)
    slots = one if rows >= h else striped.wanted_slots * one
    channels = striped.work.output_shape[3] * one
    return Cuts(min(rows, h) * one, w * one, channels, 0 * one, one, slots, one, one > 1)


def continue_cuts(
    striped: StripedPass, rows: Array, columns: Array, block: Array, slots: int
) -> Cuts:
    """Returns the cuts of a pass inside a cascade, whose input comes in stripes of `rows` × `columns`.

    Args:
      striped: the pass.
      rows: of a stripe of its input.
      columns: of a stripe of its input.
      block: the index of the block of accumulators that the cascade has chosen.
      slots: stripes of the output on chip where the cascade ends with this pass; 0 where it goes on.
    """
    target = striped.target
    h, w = striped.size
    depth = striped.work.output_shape[3]
    whole = (rows >= h) & (columns >= w)
    channels = np.full_like(rows, depth)
    deep = target.stripes.depths and striped.reads_all_channels and depth > target.mac.outputs
    if slots and deep:
        channels = np.where(whole, target.mac.outputs, channels)
    if slots:
        out_slots = np.minimum(slots, -(-h // rows) * -(-w // columns) * -(-depth // channels))
    else:
        out_slots = np.where(whole, 1, striped.wanted_slots)
    ones = np.ones_like(rows)
    return Cuts(rows, columns, channels, block, ones, out_slots, ones, ones > 1)


def _find_base(base: int, block: int, scale: float) -> int:
    """Returns the smallest side of a stripe of input: whole blocks and bricks of input and of output."""
    return max(base, math.ceil(block / max(1.0, scale)), math.ceil(base / scale))


@functools.cache
def _list_powers_below(size: int, base: int) -> tuple[int, ...]:
    """Returns the powers of two of `base` that are less than `size`."""
    return tuple(base << n for n in range(40) if base << n < size)


@functools.cache
def _list_powers_to(size: int, base: int) -> tuple[int, ...]:
    """Returns the powers of two of `base`, and the first multiple that reaches `size`."""
    last = -(-size // base)
    return (*(base << n for n in range(last.bit_length()) if 1 << n < last), last * base)
