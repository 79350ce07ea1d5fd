"""Growth: more kernels for every `Basis` of a tree, between two stages of training.

    params = grow_basis(params, key, 2)     # from 3 kernels to 5; the function stays as it was

UESTC-MediaLab's kernel-basis training (AIM 2020 challenge on efficient super-resolution, Zhang et al.,
arXiv:2009.06943) trains k = Σ πᵢ kᵢ in stages: each adds δ kernels, Xavier-uniform, and sets all merging
weights to 1/N anew. With K the merged kernel before, N kernels kᵢ with weights πᵢ, and new kernels rⱼ:

    preserve    K' = Σ πᵢ kᵢ + Σ 0 · rⱼ = K       the new kernels enter with weight 0
    published   K' = (Σ kᵢ + Σ rⱼ) / (N + δ)      what the weights had learnt is lost

In the first, the gradient reaches the weight of a new kernel first and, once that has moved, the kernel:
the new kernels must differ from zero, and do. Nothing that an old kernel's moments were measured on has
changed, so `pad_basis` carries an optimiser's state over.
"""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from sesr_jax.errors import InputError
from sesr_jax.reparam.forms import glorot
from sesr_jax.reparam.terms import Basis


def grow_basis(tree: Any, key: jax.Array, added: int, *, preserve: bool = True) -> Any:
    """Returns a copy of `tree` in which every `Basis`, however deep in other terms, has `added` more kernels.

    Args:
      tree: terms, or any tree that holds some.
      key: decides the new kernels, each Glorot-uniform.
      added: δ, the number of new kernels per basis.
      preserve: keeps the function and gives new kernels the weight 0; without it, all weights become
        1/(N + δ) as published, and the function changes.

    Raises:
      InputError: the tree holds no basis, or `added` is not positive.
    """
    if added < 1:
        raise InputError(f"a basis cannot grow by {added} kernels: add 1 or more.")
    count = len(list_basis_sizes(tree))
    if not count:
        raise InputError(
            "grow_basis found no Basis term: only kernel-basis networks can grow; "
            'train the form "kernel_basis".'
        )
    keys = iter(jax.random.split(key, count))

    def grow(basis: Basis) -> Basis:
        shape, dtype = basis.kernels.shape[1:], basis.kernels.dtype
        new = jnp.stack([glorot(k, shape, dtype) for k in jax.random.split(next(keys), added)])
        grown = _pad_basis(basis, added)
        weights = grown.coefficients
        return dataclasses.replace(
            grown,
            kernels=grown.kernels.at[-added:].set(new),
            coefficients=weights if preserve else jnp.full_like(weights, 1 / len(weights)),
        )

    return _map_bases(grow, tree)


def pad_basis(tree: Any, added: int) -> Any:
    """Returns a copy of `tree` in which every `Basis` has `added` more kernels and weights, all zero.

    It is for what an optimiser keeps beside the parameters: its moments of old kernels stay, and those of
    new kernels start at zero.
    """
    return _map_bases(lambda basis: _pad_basis(basis, added), tree)


def list_basis_sizes(tree: Any) -> list[int]:
    """Returns the number of kernels of every `Basis` in `tree`."""
    leaves = jax.tree.leaves(tree, is_leaf=_is_basis)
    return [len(leaf.kernels) for leaf in leaves if _is_basis(leaf)]


def _is_basis(x: Any) -> bool:
    return isinstance(x, Basis)


def _map_bases(function: Callable[[Basis], Basis], tree: Any) -> Any:
    return jax.tree.map(lambda x: function(x) if _is_basis(x) else x, tree, is_leaf=_is_basis)


def _pad_basis(basis: Basis, added: int) -> Basis:
    return dataclasses.replace(
        basis,
        kernels=jnp.pad(basis.kernels, ((0, added), *[(0, 0)] * (basis.kernels.ndim - 1))),
        coefficients=jnp.pad(basis.coefficients, (0, added)),
    )
