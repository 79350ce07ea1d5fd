"""Batch normalisation as a term: by frozen averages or by the statistics of the batch at hand.

A `BatchNorm` is an affine map once its statistics are known, so it collapses as all else does. While its
statistics are those of the population, they are constants: no gradient reaches them. Where the
statistics of a batch are wanted, `with_batch_statistics` gives a term that holds them, differentiable, so
that *its* collapse is what a batch norm in training mode computes:

    settled = with_batch_statistics(term, x)             # runs the term, layer by layer
    y = settled.collapse().apply(x)                      # equals settled.apply(x)
    kept = optax.incremental_update(find_statistics(settled), find_statistics(term), 0.1)
    term = with_statistics(term, kept)                   # the running averages

Statistics are taken over the image's own positions, not over what a border adds to an inner map.
RepSR (Wang et al. 2022) trains with batches' statistics and late switches to the frozen averages.
"""

import functools
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
from flax import struct
from jax import lax
from typing_extensions import override

from sesr_jax.reparam.terms import Conv, Facts, Reach, Term, check_ranks, crop, extend, make_conv

Statistics = dict[str, tuple[jax.Array, jax.Array]]
"""The mean and variance of every batch norm of a tree, by its path."""

_Tree = TypeVar("_Tree")


@struct.dataclass
class BatchNorm(Term):
    """``scale · (x - mean) / sqrt(var + eps) + bias`` (Ioffe and Szegedy 2015); every array is ``[C]``.

    Attributes:
      scale: γ.
      bias: β.
      mean: μ, of the population unless `batch`.
      var: σ².
      eps: keeps a constant channel finite.
      batch: whether the statistics are of the batch at hand, so that gradients pass through them.
    """

    scale: jax.Array
    bias: jax.Array
    mean: jax.Array
    var: jax.Array
    eps: float = struct.field(pytree_node=False, default=1e-5)
    batch: bool = struct.field(pytree_node=False, default=False)

    @property
    @override
    def facts(self) -> Facts:
        check_ranks(self, scale=1, bias=1, mean=1, var=1)
        return Facts(self.scale.size, self.scale.size)

    @override
    def apply_valid(self, x: jax.Array) -> jax.Array:
        mean, deviation = self._moments()
        return (x - mean) / deviation * self.scale + self.bias

    @override
    def collapse(self) -> Conv:
        """Returns a 1×1 of the diagonal matrix γ / sqrt(σ² + eps) (DBB, Transform I)."""
        facts, (mean, deviation) = self.facts, self._moments()
        factor = self.scale / deviation
        return make_conv(jnp.diag(factor)[None, None], self.bias - mean * factor, facts)

    @override
    def settle(self, x: jax.Array, around: Reach) -> "BatchNorm":
        inside = crop(x, around, Reach())
        mean, var = jnp.mean(inside, (0, 1, 2)), jnp.var(inside, (0, 1, 2))
        return BatchNorm(self.scale, self.bias, mean, var, self.eps, batch=True)

    def _moments(self) -> tuple[jax.Array, jax.Array]:
        moments = self.mean, jnp.sqrt(self.var + self.eps)
        return moments if self.batch else lax.stop_gradient(moments)


def make_batch_norm(features: int) -> BatchNorm:
    """Returns the identity, but for eps, which is what every form starts with."""
    # These are four buffers, since a step cannot donate one of them twice.
    ones, zeros = (functools.partial(make, features) for make in (jnp.ones, jnp.zeros))
    return BatchNorm(scale=ones(), bias=zeros(), mean=zeros(), var=ones())


def with_batch_statistics(term: Term, x: jax.Array) -> Term:
    """Returns `term` with the statistics that its batch norms meet when it runs on `x`, ``[N, H, W, in]``.

    That run costs what the expanded term costs; the collapse of the result is as cheap as ever.
    """
    return term.settle(extend(x, term.reach), Reach())


def find_statistics(tree: Any) -> Statistics:
    """Returns what the batch norms in `tree` hold; empty where there are none."""
    leaves = jax.tree_util.tree_leaves_with_path(tree, is_leaf=_is_norm)
    return {_path_name(path): (leaf.mean, leaf.var) for path, leaf in leaves if _is_norm(leaf)}


def with_statistics(tree: _Tree, statistics: Statistics) -> _Tree:
    """Returns a copy of `tree` whose batch norms hold `statistics`; all else is kept."""

    def renew(path: Any, leaf: Any) -> Any:
        if not _is_norm(leaf):
            return leaf
        mean, var = statistics[_path_name(path)]
        return leaf.replace(mean=mean, var=var)

    return jax.tree_util.tree_map_with_path(renew, tree, is_leaf=_is_norm)


def _is_norm(x: Any) -> bool:
    return isinstance(x, BatchNorm)


def _path_name(path: Any) -> str:
    return jax.tree_util.keystr(path, simple=True, separator="/")
