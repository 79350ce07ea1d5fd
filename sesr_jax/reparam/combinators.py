"""Terms made of terms: one behind another, added up, or side by side.

The facts and the collapse of each follow from those of its terms:

block = Sequential((Conv(k3, b3), Conv(k1, b1)))    # SESR's collapsible linear block
conv = Sum((block, Identity(16))).collapse()        # one 3×3 with the short residual inside
"""

import functools
from collections.abc import Sequence
from typing import TypeAlias

import jax
import jax.numpy as jnp
from flax import struct
from jax import lax
from typing_extensions import override

from sesr_jax.errors import InputError
from sesr_jax.reparam.terms import (
    Conv,
    Facts,
    Reach,
    Term,
    add_all,
    add_bias,
    correlate,
    crop,
    dilate,
    make_conv,
)


@struct.dataclass
class Sequential(Term):
    """The composition of terms, the first applied first."""

    terms: tuple[Term, ...]

    @property
    @override
    def facts(self) -> Facts:
        """Adds the reaches up, each in the pixels of the strides before it, and multiplies the strides."""
        _check_terms(self)
        return functools.reduce(_chain_facts, (term.facts for term in self.terms))

    @override
    def apply_valid(self, x: jax.Array) -> jax.Array:
        return functools.reduce(lambda y, term: term.apply_valid(y), self.terms, x)

    @override
    def collapse(self) -> Conv:
        """Convolves the kernels with each other; every bias passes through what follows it."""
        _check_terms(self)
        return functools.reduce(_compose, _collapse_each(self))

    @override
    def settle(self, x: jax.Array, around: Reach) -> "Sequential":
        settled: list[Term] = []
        for i, term in enumerate(self.terms):
            beyond = around
            for later in reversed(self.terms[i + 1 :]):
                beyond = _extend_reach(later.reach, later.facts.strides, beyond)
            settled.append(term.settle(x, beyond))
            x = settled[-1].apply_valid(x)
        return Sequential(tuple(settled))


@struct.dataclass
class Sum(Term):
    """The sum of terms whose centres are aligned."""

    terms: tuple[Term, ...]

    @property
    @override
    def facts(self) -> Facts:
        """Takes the largest reach on each side; all else is that of every branch."""
        reach, strides = _common_reach_and_strides(self)
        channels = {(term.in_features, term.out_features) for term in self.terms}
        if len(channels) > 1:
            raise InputError(
                f"Sum of terms with (in, out) channels {sorted(channels)}: all must agree."
            )
        return Facts(*channels.pop(), reach, strides)

    @override
    def apply_valid(self, x: jax.Array) -> jax.Array:
        """Adds up the branches; one that sees less gets a smaller crop."""
        reach = self.reach
        return add_all([term.apply_valid(crop(x, reach, term.reach)) for term in self.terms])

    @override
    def collapse(self) -> Conv:
        """Adds the kernels up, each extended by zeros to the common reach."""
        facts, convs = self.facts, _collapse_each(self)
        biases = [conv.bias for conv in convs if conv.bias is not None]
        kernel = add_all([_grow_kernel(conv, facts.reach) for conv in convs])
        return make_conv(kernel, add_all(biases) if biases else None, facts)

    @override
    def settle(self, x: jax.Array, around: Reach) -> "Sum":
        reach = self.reach
        terms = (t.settle(crop(x, reach, t.reach), around) for t in self.terms)
        return Sum(tuple(terms))


@struct.dataclass
class Concat(Term):
    """Terms that read the same image, their outputs joined along the channels (DBB, Transform IV)."""

    terms: tuple[Term, ...]

    @property
    @override
    def facts(self) -> Facts:
        """Adds the output channels up."""
        reach, strides = _common_reach_and_strides(self)
        channels = sorted({term.in_features for term in self.terms})
        if len(channels) > 1:
            raise InputError(f"Concat of terms with {channels} input channels: all must agree.")
        return Facts(channels[0], sum(t.out_features for t in self.terms), reach, strides)

    @override
    def apply_valid(self, x: jax.Array) -> jax.Array:
        reach = self.reach
        parts = [term.apply_valid(crop(x, reach, term.reach)) for term in self.terms]
        return jnp.concatenate(parts, axis=-1)

    @override
    def collapse(self) -> Conv:
        """Puts the kernels side by side."""
        facts = self.facts
        return _join_outputs(_collapse_each(self), facts)

    @override
    def settle(self, x: jax.Array, around: Reach) -> "Concat":
        reach = self.reach
        terms = (t.settle(crop(x, reach, t.reach), around) for t in self.terms)
        return Concat(tuple(terms))


@struct.dataclass
class Grouped(Term):
    """Terms that each read their own channels of the image, in order: a grouped convolution."""

    terms: tuple[Term, ...]

    @property
    @override
    def facts(self) -> Facts:
        """Adds the channels up, on both sides."""
        reach, strides = _common_reach_and_strides(self)
        before, after = (
            sum(term.facts[side] for term in self.terms)  # type: ignore[misc]
            for side in (0, 1)
        )
        return Facts(before, after, reach, strides)

    @override
    def apply_valid(self, x: jax.Array) -> jax.Array:
        groups = zip(self.terms, self._split(x), strict=True)
        return jnp.concatenate([term.apply_valid(group) for term, group in groups], axis=-1)

    @override
    def collapse(self) -> Conv:
        """Returns the block-diagonal kernel, dense."""
        facts, convs, start = self.facts, [], 0
        for conv in _collapse_each(self):
            channels = (start, facts.in_features - start - conv.in_features)
            kernel = jnp.pad(conv.kernel, ((0, 0), (0, 0), channels, (0, 0)))
            convs.append(conv.replace(kernel=kernel))  # type: ignore[attr-defined]
            start += conv.in_features
        return _join_outputs(convs, facts)

    @override
    def settle(self, x: jax.Array, around: Reach) -> "Grouped":
        groups = zip(self.terms, self._split(x), strict=True)
        return Grouped(tuple(term.settle(group, around) for term, group in groups))

    def _split(self, x: jax.Array) -> list[jax.Array]:
        """Returns what each group sees of `x`."""
        reach, groups, start = self.reach, [], 0
        for term in self.terms:
            group = x[..., start : start + term.in_features]
            groups.append(crop(group, reach, term.reach))
            start += term.in_features
        return groups


Combinator: TypeAlias = Sequential | Sum | Concat | Grouped


def _check_terms(of: Combinator) -> None:
    """Raises InputError where there are no terms in it."""
    if not of.terms:
        raise InputError(f"a {type(of).__name__} of no terms: it must have one at least.")


def _collapse_each(of: Combinator) -> list[Conv]:
    """Collapses each term; one without parameters takes the dtype of those with some."""
    parameters = jax.tree.leaves(of)
    dtype = jnp.result_type(*parameters) if parameters else jnp.result_type(float)

    def collapse_one(term: Term) -> Conv:
        conv, fixed = term.collapse(), not jax.tree.leaves(term)
        return jax.tree.map(lambda p: p.astype(dtype), conv) if fixed else conv

    return [collapse_one(term) for term in of.terms]


def _extend_reach(reach: Reach, strides: tuple[int, int], beyond: Reach) -> Reach:
    """Returns what a term of `reach` and `strides` needs for `beyond` more output pixels on each side."""
    down, right = strides
    return Reach(
        reach.top + down * beyond.top,
        reach.bottom + down * beyond.bottom,
        reach.left + right * beyond.left,
        reach.right + right * beyond.right,
    )


def _chain_facts(first: Facts, second: Facts) -> Facts:
    if first.out_features != second.in_features:
        raise InputError(
            f"a term of {first.out_features} output channels before one of {second.in_features} "
            "input channels: the numbers must be equal."
        )
    (down, right), (down_too, right_too) = first.strides, second.strides
    return Facts(
        first.in_features,
        second.out_features,
        _extend_reach(first.reach, first.strides, second.reach),
        (down * down_too, right * right_too),
    )


def _common_reach_and_strides(of: Combinator) -> tuple[Reach, tuple[int, int]]:
    """Returns the common reach and strides of branches."""
    _check_terms(of)
    reaches, strides = zip(*(term.facts[2:] for term in of.terms), strict=True)
    if len(set(strides)) > 1:
        raise InputError(
            f"branches with strides {sorted(set(strides))}: all must agree, or their pixels do not meet."
        )
    return Reach(*map(max, zip(*reaches, strict=True))), strides[0]


def _grow_kernel(conv: Conv, reach: Reach) -> jax.Array:
    """Extends the kernel of `conv` by zeros to `reach`."""
    pads = [outer - inner for outer, inner in zip(reach, conv.reach, strict=True)]
    return jnp.pad(conv.kernel, (tuple(pads[:2]), tuple(pads[2:]), (0, 0), (0, 0)))


def _join_outputs(convs: Sequence[Conv], facts: Facts) -> Conv:
    """Puts the outputs of `convs` side by side; a missing bias beside a given one becomes zero."""
    kernel = jnp.concatenate([_grow_kernel(conv, facts.reach) for conv in convs], axis=-1)
    if all(conv.bias is None for conv in convs):
        return make_conv(kernel, None, facts)
    biases = [
        jnp.zeros(conv.out_features, kernel.dtype) if conv.bias is None else conv.bias
        for conv in convs
    ]
    return make_conv(kernel, jnp.concatenate(biases), facts)


def _compose(first: Conv, second: Conv) -> Conv:
    """Composes `second` after `first`: C[u] = Σ_{t + s·v = u} A[t]·B[v], and the bias seen through all of B.

    The strides s of A spread the taps of B over A's input.
    """
    facts, exact = _chain_facts(first.facts, second.facts), lax.Precision.HIGHEST
    spread = dilate(second.kernel, first.strides)
    kh, kw = spread.shape[:2]
    if (kh, kw) == (1, 1):
        kernel = jnp.einsum("hwip,po->hwio", first.kernel, spread[0, 0], precision=exact)
    elif first.kernel.shape[:2] == (1, 1):
        kernel = jnp.einsum("ip,hwpo->hwio", first.kernel[0, 0], spread, precision=exact)
    else:
        # The input channels of A are the batch of an image, and a convolution is a correlation
        # with the flipped kernel.
        batch = jnp.pad(
            first.kernel.transpose(2, 0, 1, 3), ((0, 0), (kh - 1,) * 2, (kw - 1,) * 2, (0, 0))
        )
        kernel = correlate(batch, spread[::-1, ::-1]).transpose(1, 2, 0, 3)
    bias = second.bias
    if first.bias is not None:
        carried = jnp.einsum("p,hwpo->o", first.bias, second.kernel, precision=exact)
        bias = add_bias(carried, bias)
    return make_conv(kernel, bias, facts)
