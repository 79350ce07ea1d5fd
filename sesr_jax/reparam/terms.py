"""Terms: parameter pytrees that denote linear, translation-equivariant maps, and their collapse.

A term's **meaning** is an affine map on images ``[N, H, W, C]`` that zeros extend without end. No
intermediate map is cut off at the border: a bias reaches every position of the endless plane, so a
biased 1×1 before a k×k composes exactly, borders included. (Padding every layer anew with zeros, as
most code does, breaks that equality at the border.) With strides s, output pixel n lies on input
pixel s·n, where the kernel's anchor tap is laid: ``[N, ceil(H / s), ceil(W / s), C]``.

The law, tested with ``==`` on integers: ``term.collapse().apply(x) == term.apply(x)``, everywhere.

    block = Sequential((Conv(k3, b3), Conv(k1, b1)))    # SESR's collapsible linear block
    conv = Sum((block, Identity(16))).collapse()        # one 3×3 with the short residual inside

Kernels are ``[kh, kw, in, out]`` and correlated, not flipped. This module holds what a term is, `Conv`
and what is trained beside it; `combinators` composes terms, and `filters` and `norm` hold the rest.
"""

import functools
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import struct
from jax import lax
from typing_extensions import override

from sesr_jax.errors import InputError


class Reach(NamedTuple):
    """How many input pixels an output pixel sees on each side of its own position."""

    top: int = 0
    bottom: int = 0
    left: int = 0
    right: int = 0

    @property
    def kernel_size(self) -> tuple[int, int]:
        """The smallest kernel that covers the reach."""
        return self.top + self.bottom + 1, self.left + self.right + 1


class Facts(NamedTuple):
    """What a term says of itself without being run.

    Attributes:
      in_features: channels of the input.
      out_features: channels of the output.
      reach: the receptive field, in input pixels.
      strides: input pixels from one output pixel to the next, (down, right).
    """

    in_features: int
    out_features: int
    reach: Reach = Reach()
    strides: tuple[int, int] = (1, 1)


class Term:
    """The base of all terms, which define `facts`, `apply_valid` and `collapse`."""

    @property
    def facts(self) -> Facts:
        """Returns what is known without running the term.

        Raises:
          InputError: the terms inside do not fit together, a value is out of its bounds, or an array has
            another number of dimensions than the term says, as those of stacked terms have.
        """
        raise NotImplementedError

    def apply_valid(self, x: jax.Array) -> jax.Array:
        """Maps an image that is already extended by its surroundings; the output is smaller by `reach`."""
        raise NotImplementedError

    def collapse(self) -> "Conv":
        """Returns the one convolution that the term equals.

        It is differentiable, in forward mode too, and collapsing twice changes nothing.

        Raises:
          InputError: as `facts`.
        """
        raise NotImplementedError

    def settle(self, x: jax.Array, around: Reach) -> "Term":
        """Returns a copy whose batch norms hold the statistics of what reaches them; see `norm`.

        Args:
          x: an image extended so far that the term's `apply_valid` reaches `around` beyond its output.
          around: the output pixels beyond the image, which the statistics leave out.
        """
        del x, around
        return self

    @property
    def in_features(self) -> int:
        """Channels of the input."""
        return self.facts.in_features

    @property
    def out_features(self) -> int:
        """Channels of the output."""
        return self.facts.out_features

    @property
    def reach(self) -> Reach:
        """The receptive field."""
        return self.facts.reach

    def apply(self, x: jax.Array) -> jax.Array:
        """Runs the term as written: ``[N, H, W, in]`` to ``[N, ceil(H / s), ceil(W / s), out]``.

        Raises:
          InputError: as `facts`; or the image has another number of channels.
        """
        facts = self.facts
        if x.shape[-1] != facts.in_features:
            raise InputError(
                f"an image of {x.shape[-1]} channels for a term of {facts.in_features} input channels: "
                "the numbers must be equal."
            )
        return self.apply_valid(extend(x, facts.reach))


@struct.dataclass
class Conv(Term):
    """A convolution; what every term collapses to.

    Attributes:
      kernel: ``[kh, kw, in, out]``.
      bias: ``[out]``, or None for none at all.
      anchor: the tap (row, column) that lies on the output pixel; None means the centre, which for
        even sizes is the one left of and above the middle, as in XLA's "SAME".
      strides: (down, right).
    """

    kernel: jax.Array
    bias: jax.Array | None = None
    anchor: tuple[int, int] | None = struct.field(pytree_node=False, default=None)
    strides: tuple[int, int] = struct.field(pytree_node=False, default=(1, 1))

    @property
    @override
    def facts(self) -> Facts:
        check_ranks(self, kernel=4, bias=1)
        check_steps("strides", self.strides)
        kh, kw, in_features, out_features = self.kernel.shape
        return Facts(in_features, out_features, kernel_reach(kh, kw, self.anchor), self.strides)

    @override
    def apply_valid(self, x: jax.Array) -> jax.Array:
        return add_bias(correlate(x, self.kernel, self.strides), self.bias)

    @override
    def collapse(self) -> "Conv":
        """Returns the convolution itself; its anchor becomes None where it is the centre."""
        return make_conv(self.kernel, self.bias, self.facts)


@struct.dataclass
class Identity(Term):
    """The identity on `features` channels: as a kernel, ones on the centre tap (SESR, Algorithm 2)."""

    features: int = struct.field(pytree_node=False)

    @property
    @override
    def facts(self) -> Facts:
        return Facts(self.features, self.features)

    @override
    def apply_valid(self, x: jax.Array) -> jax.Array:
        return x

    @override
    def collapse(self) -> Conv:
        """Returns a 1×1 of the unit matrix, weakly typed: it takes the dtype of what it is added to."""
        return Conv(jnp.where(jnp.eye(self.features, dtype=bool), 1.0, 0.0)[None, None])


@struct.dataclass
class Scale(Term):
    """One factor per channel, and a shift (OREPA's branch scaling); `scale` and `bias` are ``[C]``."""

    scale: jax.Array
    bias: jax.Array | None = None

    @property
    @override
    def facts(self) -> Facts:
        check_ranks(self, scale=1, bias=1)
        return Facts(self.scale.size, self.scale.size)

    @override
    def apply_valid(self, x: jax.Array) -> jax.Array:
        return add_bias(x * self.scale, self.bias)

    @override
    def collapse(self) -> Conv:
        """Returns a 1×1 of the diagonal matrix."""
        facts = self.facts
        return make_conv(jnp.diag(self.scale)[None, None], self.bias, facts)


@struct.dataclass
class Basis(Term):
    """A weighted sum of kernels, Σ πᵢ kᵢ (AIM 2020, UESTC-MediaLab's kernel-basis training).

    Attributes:
      kernels: ``[n, kh, kw, in, out]``.
      coefficients: ``[n]``.
      bias: ``[out]`` or None.
    """

    kernels: jax.Array
    coefficients: jax.Array
    bias: jax.Array | None = None

    @property
    @override
    def facts(self) -> Facts:
        check_ranks(self, kernels=5, coefficients=1, bias=1)
        kh, kw, in_features, out_features = self.kernels.shape[1:]
        return Facts(in_features, out_features, kernel_reach(kh, kw))

    @override
    def apply_valid(self, x: jax.Array) -> jax.Array:
        """Runs every kernel of the basis by itself."""
        terms = zip(self.coefficients, self.kernels, strict=True)
        y = add_all([coefficient * correlate(x, kernel) for coefficient, kernel in terms])
        return add_bias(y, self.bias)

    @override
    def collapse(self) -> Conv:
        """Merges the kernels into one."""
        facts = self.facts
        merged = jnp.tensordot(
            self.coefficients, self.kernels, axes=1, precision=lax.Precision.HIGHEST
        )
        return make_conv(merged, self.bias, facts)


def is_term(x: Any) -> bool:
    """Returns whether `x` is a term; it is the `is_leaf` for maps over trees of terms."""
    return isinstance(x, Term)


def collapse(tree: Any) -> Any:
    """Returns a copy of `tree` with every term replaced by the `Conv` that it equals.

    All else (PReLU slopes, other leaves) is kept, so that the module that made the tree runs the result.
    Stacked terms, as `jax.vmap` and `nn.scan` make them, are collapsed by ``jax.vmap(collapse)``.

    Raises:
      InputError: as `Term.collapse`; a term is stacked.
    """
    return jax.tree.map(lambda x: x.collapse() if is_term(x) else x, tree, is_leaf=is_term)


def kernel_reach(kh: int, kw: int, anchor: tuple[int, int] | None = None) -> Reach:
    """Returns the reach of a kernel of that size; the anchor is the centre where it is None.

    Raises:
      InputError: the anchor is no tap of the kernel.
    """
    row, column = anchor or _centre(kh, kw)
    if not (0 <= row < kh and 0 <= column < kw):
        raise InputError(
            f"the anchor {(row, column)} of a {kh}×{kw} kernel: it must be one of its taps (row, column), "
            "counted from 0."
        )
    return Reach(row, kh - 1 - row, column, kw - 1 - column)


def check_ranks(term: Term, **ranks: int) -> None:
    """Raises InputError where one of the arrays of `term` has another number of dimensions."""
    for name, rank in ranks.items():
        array = getattr(term, name)
        if array is not None and array.ndim != rank:
            raise InputError(
                f"{type(term).__name__}.{name} has the shape {array.shape}: it must have {rank} "
                "dimensions; run and collapse stacked terms under jax.vmap."
            )


def check_steps(what: str, steps: tuple[int, int]) -> None:
    """Raises InputError where strides or rates, (down, right), are below 1."""
    if min(steps) < 1:
        raise InputError(f"{what} of {tuple(steps)} pixels: they must be 1 or more each.")


def make_conv(kernel: jax.Array, bias: jax.Array | None, facts: Facts) -> Conv:
    """Makes a `Conv` of those facts, its anchor None where it is the centre, so that trees compare equal."""
    anchor = (facts.reach.top, facts.reach.left)
    centred = anchor == _centre(*facts.reach.kernel_size)
    return Conv(kernel, bias, None if centred else anchor, facts.strides)


def add_bias(y: jax.Array, bias: jax.Array | None) -> jax.Array:
    """Adds `bias` to `y`, where there is one."""
    return y if bias is None else y + bias


def add_all(arrays: Sequence[jax.Array]) -> jax.Array:
    """Adds `arrays` up, in their order."""
    return functools.reduce(jnp.add, arrays)


def correlate(
    x: jax.Array,
    kernel: jax.Array,
    strides: tuple[int, int] = (1, 1),
    dilation: tuple[int, int] = (1, 1),
    groups: int = 1,
) -> jax.Array:
    """Convolves "VALID" at the accelerator's full precision, since the law is about equality."""
    dtype = jnp.result_type(x, kernel)
    x, kernel = x.astype(dtype), kernel.astype(dtype)
    return lax.conv_general_dilated(
        x,
        kernel,
        strides,
        "VALID",
        rhs_dilation=dilation,
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
        feature_group_count=groups,
        precision=lax.Precision.HIGHEST,
    )


def dilate(kernel: jax.Array, rates: tuple[int, int]) -> jax.Array:
    """Moves the taps of a kernel `rates` pixels apart, with zeros between them."""
    down, right = rates
    between = ((0, 0, down - 1), (0, 0, right - 1), (0, 0, 0), (0, 0, 0))
    return kernel if rates == (1, 1) else lax.pad(kernel, jnp.zeros((), kernel.dtype), between)


def extend(x: jax.Array, reach: Reach) -> jax.Array:
    """Extends an image by as many zeros on each side as `reach` says."""
    top, bottom, left, right = reach
    return jnp.pad(x, ((0, 0), (top, bottom), (left, right), (0, 0)))


def crop(x: jax.Array, have: Reach, want: Reach) -> jax.Array:
    """Cuts an image extended for `have` down to what `want` needs."""
    _, height, width, _ = x.shape
    return x[
        :,
        have.top - want.top : height - (have.bottom - want.bottom),
        have.left - want.left : width - (have.right - want.right),
    ]


def _centre(kh: int, kw: int) -> tuple[int, int]:
    return (kh - 1) // 2, (kw - 1) // 2
