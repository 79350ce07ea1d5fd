"""Terms: parameter pytrees that denote linear, translation-equivariant maps, and their collapse.

A term's **meaning** is an affine map on images ``[N, H, W, C]`` that zeros extend without end. No
intermediate map is cut off at the border: a bias reaches every position of the endless plane, so a
biased 1×1 before a k×k composes exactly, borders included. (Padding every layer anew with zeros, as
most code does, breaks that equality at the border.)

The law, tested with ``==`` on integers: ``term.collapse().apply(x) == term.apply(x)``, everywhere.

    block = Sequential((Conv(k3, b3), Conv(k1, b1)))    # SESR's collapsible linear block
    conv = Sum((block, Identity(16))).collapse()        # one 3×3 with the short residual inside

Kernels are ``[kh, kw, in, out]`` and correlated, not flipped. Terms are stride-1 and ungrouped.
"""

import functools
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import struct
from jax import lax

from sesr_jax.errors import InputError


class Reach(NamedTuple):
    """How many input pixels an output pixel sees on each side of its own position."""

    top: int
    bottom: int
    left: int
    right: int

    @property
    def kernel_size(self) -> tuple[int, int]:
        """The smallest kernel that covers the reach."""
        return self.top + self.bottom + 1, self.left + self.right + 1


class Term:
    """The base of all terms: they define `valid`, `collapse` and the static facts."""

    in_features: int
    out_features: int

    @property
    def reach(self) -> Reach:
        """The receptive field."""
        raise NotImplementedError

    def valid(self, x: jax.Array) -> jax.Array:
        """The map on an image already extended by its surroundings; the output is smaller by `reach`."""
        raise NotImplementedError

    def collapse(self) -> "Conv":
        """The one convolution that the term equals; differentiable, and idempotent."""
        raise NotImplementedError

    def apply(self, x: jax.Array) -> jax.Array:
        """Runs the term as written: ``[N, H, W, in]`` to ``[N, H, W, out]``."""
        top, bottom, left, right = self.reach
        return self.valid(jnp.pad(x, ((0, 0), (top, bottom), (left, right), (0, 0))))


@struct.dataclass
class Conv(Term):
    """A convolution; what every term collapses to.

    Attributes:
      kernel: ``[kh, kw, in, out]``.
      bias: ``[out]``, or None for none at all.
      anchor: the tap (row, column) that lies on the output pixel; None means the centre, which for
        even sizes is the one left of and above the middle, as in XLA's "SAME".
    """

    kernel: jax.Array
    bias: jax.Array | None = None
    anchor: tuple[int, int] | None = struct.field(pytree_node=False, default=None)

    @property
    def in_features(self) -> int:  # type: ignore[override]
        """Channels of the input."""
        return self.kernel.shape[-2]

    @property
    def out_features(self) -> int:  # type: ignore[override]
        """Channels of the output."""
        return self.kernel.shape[-1]

    @property
    def reach(self) -> Reach:
        """The receptive field, from the kernel's size and the anchor."""
        kh, kw = self.kernel.shape[-4:-2]
        row, column = self.anchor or _centre(kh, kw)
        return Reach(row, kh - 1 - row, column, kw - 1 - column)

    def valid(self, x: jax.Array) -> jax.Array:
        """See `Term.valid`."""
        y = _correlate(x, self.kernel)
        return y if self.bias is None else y + self.bias

    def collapse(self) -> "Conv":
        """Itself."""
        return self


@struct.dataclass
class Identity(Term):
    """The identity on `features` channels: as a kernel, ones on the centre tap (SESR, Algorithm 2)."""

    features: int = struct.field(pytree_node=False)

    @property
    def in_features(self) -> int:  # type: ignore[override]
        """Channels of the input."""
        return self.features

    @property
    def out_features(self) -> int:  # type: ignore[override]
        """Channels of the output."""
        return self.features

    @property
    def reach(self) -> Reach:
        """Only the pixel itself."""
        return Reach(0, 0, 0, 0)

    def valid(self, x: jax.Array) -> jax.Array:
        """See `Term.valid`."""
        return x

    def collapse(self) -> Conv:
        """A 1×1 of the unit matrix, weakly typed: it takes the dtype of what it is added to."""
        return Conv(jnp.where(jnp.eye(self.features, dtype=bool), 1.0, 0.0)[None, None])


@struct.dataclass
class Scale(Term):
    """A factor a channel (OREPA's branch scaling); `scale` is ``[C]``."""

    scale: jax.Array

    @property
    def in_features(self) -> int:  # type: ignore[override]
        """Channels of the input."""
        return self.scale.shape[-1]

    @property
    def out_features(self) -> int:  # type: ignore[override]
        """Channels of the output."""
        return self.scale.shape[-1]

    @property
    def reach(self) -> Reach:
        """Only the pixel itself."""
        return Reach(0, 0, 0, 0)

    def valid(self, x: jax.Array) -> jax.Array:
        """See `Term.valid`."""
        return x * self.scale

    def collapse(self) -> Conv:
        """A 1×1 of the diagonal matrix."""
        return Conv(jnp.diag(self.scale)[None, None])


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
    def in_features(self) -> int:  # type: ignore[override]
        """Channels of the input."""
        return self.kernels.shape[-2]

    @property
    def out_features(self) -> int:  # type: ignore[override]
        """Channels of the output."""
        return self.kernels.shape[-1]

    @property
    def reach(self) -> Reach:
        """That of any one of the kernels."""
        return Conv(self.kernels[0]).reach

    def valid(self, x: jax.Array) -> jax.Array:
        """See `Term.valid`; every kernel of the basis is run by itself."""
        terms = zip(self.coefficients, self.kernels, strict=True)
        y = _total([coefficient * _correlate(x, kernel) for coefficient, kernel in terms])
        return y if self.bias is None else y + self.bias

    def collapse(self) -> Conv:
        """The merged kernel."""
        merged = jnp.tensordot(
            self.coefficients, self.kernels, axes=1, precision=lax.Precision.HIGHEST
        )
        return Conv(merged, self.bias)


@struct.dataclass
class Sequential(Term):
    """The composition of terms, the first applied first."""

    terms: tuple[Term, ...]

    @property
    def in_features(self) -> int:  # type: ignore[override]
        """Channels of the input."""
        return self.terms[0].in_features

    @property
    def out_features(self) -> int:  # type: ignore[override]
        """Channels of the output."""
        return self.terms[-1].out_features

    @property
    def reach(self) -> Reach:
        """The sum of the reaches."""
        return Reach(*(sum(sides) for sides in zip(*(t.reach for t in self.terms), strict=True)))

    def valid(self, x: jax.Array) -> jax.Array:
        """See `Term.valid`."""
        return functools.reduce(lambda y, term: term.valid(y), self.terms, x)

    def collapse(self) -> Conv:
        """The convolution of the kernels; every bias passes through what follows it.

        Raises:
          InputError: neighbours disagree about the channels between them.
        """
        return functools.reduce(_compose, (term.collapse() for term in self.terms))


@struct.dataclass
class Sum(Term):
    """The sum of terms whose centres are aligned."""

    terms: tuple[Term, ...]

    @property
    def in_features(self) -> int:  # type: ignore[override]
        """Channels of the input."""
        return self.terms[0].in_features

    @property
    def out_features(self) -> int:  # type: ignore[override]
        """Channels of the output."""
        return self.terms[0].out_features

    @property
    def reach(self) -> Reach:
        """The largest of the reaches, side by side."""
        return Reach(*(max(sides) for sides in zip(*(t.reach for t in self.terms), strict=True)))

    def valid(self, x: jax.Array) -> jax.Array:
        """See `Term.valid`; a branch that sees less gets a smaller crop."""
        return _total([term.valid(_crop(x, self.reach, term.reach)) for term in self.terms])

    def collapse(self) -> Conv:
        """The sum of the kernels, each extended by zeros to the common reach.

        Raises:
          InputError: the terms disagree about their channels.
        """
        convs = [term.collapse() for term in self.terms]
        if len({(conv.in_features, conv.out_features) for conv in convs}) > 1:
            shapes = [(conv.in_features, conv.out_features) for conv in convs]
            raise InputError(
                f"Sum of terms with (in, out) channels {shapes}: all must agree; "
                "give every branch the same channels."
            )
        kernel = _total([_extend(conv, self.reach) for conv in convs])
        biases = [conv.bias for conv in convs if conv.bias is not None]
        return _anchored(kernel, _total(biases) if biases else None, self.reach)


def is_term(x: Any) -> bool:
    """Whether `x` is a term; the `is_leaf` for maps over trees of terms."""
    return isinstance(x, Term)


def collapse(tree: Any) -> Any:
    """A copy of `tree` with every term replaced by the `Conv` that it equals.

    All else (PReLU slopes, other leaves) is kept, so the module that made the tree runs the result.
    """
    return jax.tree.map(lambda x: x.collapse() if is_term(x) else x, tree, is_leaf=is_term)


def _total(arrays: Sequence[jax.Array]) -> jax.Array:
    return functools.reduce(jnp.add, arrays)


def _centre(kh: int, kw: int) -> tuple[int, int]:
    return (kh - 1) // 2, (kw - 1) // 2


def _anchored(kernel: jax.Array, bias: jax.Array | None, reach: Reach) -> Conv:
    """A `Conv` of that reach; the anchor stays None where it is the centre, so that trees compare."""
    anchor = (reach.top, reach.left)
    return Conv(kernel, bias, None if anchor == _centre(*reach.kernel_size) else anchor)


def _correlate(x: jax.Array, kernel: jax.Array) -> jax.Array:
    """A "VALID" convolution at the accelerator's full precision, since the law is about equality."""
    return lax.conv_general_dilated(
        x,
        kernel,
        (1, 1),
        "VALID",
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
        precision=lax.Precision.HIGHEST,
    )


def _crop(x: jax.Array, have: Reach, want: Reach) -> jax.Array:
    """Cuts an image extended for `have` down to what `want` needs."""
    _, height, width, _ = x.shape
    return x[
        :,
        have.top - want.top : height - (have.bottom - want.bottom),
        have.left - want.left : width - (have.right - want.right),
    ]


def _extend(conv: Conv, reach: Reach) -> jax.Array:
    """The kernel of `conv` inside zeros, grown to `reach`."""
    pads = [outer - inner for outer, inner in zip(reach, conv.reach, strict=True)]
    return jnp.pad(conv.kernel, (tuple(pads[:2]), tuple(pads[2:]), (0, 0), (0, 0)))


def _compose(first: Conv, second: Conv) -> Conv:
    """`second` after `first`: C[u] = Σ_{s+t=u} A[t]·B[s], and the bias seen through all of B."""
    if first.out_features != second.in_features:
        raise InputError(
            f"a term of {first.out_features} output channels before one of {second.in_features} "
            "input channels: they must be equal; change one of the two."
        )
    exact = lax.Precision.HIGHEST
    kh, kw = second.kernel.shape[:2]
    if (kh, kw) == (1, 1):
        kernel = jnp.einsum("hwip,po->hwio", first.kernel, second.kernel[0, 0], precision=exact)
    elif first.kernel.shape[:2] == (1, 1):
        kernel = jnp.einsum("ip,hwpo->hwio", first.kernel[0, 0], second.kernel, precision=exact)
    else:
        # The input channels of A are the batch of an image, and a convolution is a correlation
        # with the flipped kernel.
        batch = jnp.pad(
            first.kernel.transpose(2, 0, 1, 3), ((0, 0), (kh - 1,) * 2, (kw - 1,) * 2, (0, 0))
        )
        kernel = _correlate(batch, second.kernel[::-1, ::-1]).transpose(1, 2, 0, 3)
    bias = second.bias
    if first.bias is not None:
        carried = jnp.einsum("p,hwpo->o", first.bias, second.kernel, precision=exact)
        bias = carried if bias is None else carried + bias
    return _anchored(kernel, bias, Sequential((first, second)).reach)
