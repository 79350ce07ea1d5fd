"""Forms: what a convolution is made of while it trains.

A form is an initialiser ``form(key, in_features, out_features) -> term``; a function of this module
makes one from a kernel size. Kernels start Glorot-uniform and biases at zero, as in SESR's code.

    form = residual(collapsible(3, expansion=256))
    term = form(jax.random.key(0), 16, 16)
    term.collapse().kernel.shape    # (3, 3, 16, 16)

A kernel size is an int (square) or (height, width).
"""

from collections.abc import Callable
from typing import TypeAlias

import jax
import jax.numpy as jnp

from sesr_jax.errors import InputError
from sesr_jax.reparam.terms import Basis, Conv, Identity, Sequential, Sum, Term

Form: TypeAlias = Callable[[jax.Array, int, int], Term]
KernelSize: TypeAlias = int | tuple[int, int]

_glorot = jax.nn.initializers.glorot_uniform()


def _pair(kernel_size: KernelSize) -> tuple[int, int]:
    return (kernel_size, kernel_size) if isinstance(kernel_size, int) else kernel_size


def _conv(key: jax.Array, kernel_size: tuple[int, int], in_features: int, features: int) -> Conv:
    return Conv(_glorot(key, (*kernel_size, in_features, features)), jnp.zeros(features))


def dense(kernel_size: KernelSize) -> Form:
    """A plain convolution: no over-parameterisation."""

    def form(key: jax.Array, in_features: int, out_features: int) -> Term:
        return _conv(key, _pair(kernel_size), in_features, out_features)

    return form


def collapsible(kernel_size: KernelSize, *, expansion: int = 256, residual: bool = False) -> Form:
    """SESR's collapsible linear block (Bhardwaj et al. 2022, §3.1): k×k to `expansion`, then 1×1.

    With `residual`, the short residual of the paper's Algorithm 2 is part of the term.
    """

    def form(key: jax.Array, in_features: int, out_features: int) -> Term:
        expand, project = jax.random.split(key)
        return Sequential(
            (
                _conv(expand, _pair(kernel_size), in_features, expansion),
                _conv(project, (1, 1), expansion, out_features),
            )
        )

    return with_residual(form) if residual else form


def acnet(kernel_size: int) -> Form:
    """ACNet's asymmetric convolution block (Ding et al. 2019): k×k + k×1 + 1×k, without its BN."""

    def form(key: jax.Array, in_features: int, out_features: int) -> Term:
        sizes = (kernel_size, kernel_size), (kernel_size, 1), (1, kernel_size)
        keys = jax.random.split(key, len(sizes))
        return Sum(
            tuple(
                _conv(k, size, in_features, out_features)
                for k, size in zip(keys, sizes, strict=True)
            )
        )

    return form


def repvgg(kernel_size: KernelSize) -> Form:
    """RepVGG's block (Ding et al. 2021): k×k + 1×1 (+ identity where channels agree), without BN."""

    def form(key: jax.Array, in_features: int, out_features: int) -> Term:
        wide, narrow = jax.random.split(key)
        branches: tuple[Term, ...] = (
            _conv(wide, _pair(kernel_size), in_features, out_features),
            _conv(narrow, (1, 1), in_features, out_features),
        )
        if in_features == out_features:
            branches += (Identity(in_features),)
        return Sum(branches)

    return form


def kernel_basis(kernel_size: KernelSize, *, size: int = 3) -> Form:
    """A basis of `size` kernels merged with weights 1/size (AIM 2020, UESTC-MediaLab)."""

    def form(key: jax.Array, in_features: int, out_features: int) -> Term:
        shape = (*_pair(kernel_size), in_features, out_features)
        kernels = jnp.stack([_glorot(k, shape) for k in jax.random.split(key, size)])
        return Basis(kernels, jnp.full(size, 1 / size), jnp.zeros(out_features))

    return form


def with_residual(form: Form) -> Form:
    """`form` plus the identity; the collapse folds it into the kernel (SESR, Algorithm 2)."""

    def wrapped(key: jax.Array, in_features: int, out_features: int) -> Term:
        if in_features != out_features:
            raise InputError(
                f"a residual around {in_features} → {out_features} channels: both must be equal; "
                "leave the residual out of this convolution."
            )
        return Sum((form(key, in_features, out_features), Identity(in_features)))

    return wrapped


FORMS: dict[str, Callable[..., Form]] = {
    "dense": dense,
    "collapsible": collapsible,
    "acnet": acnet,
    "repvgg": repvgg,
    "kernel_basis": kernel_basis,
}
"""The forms that a config can name; each takes a kernel size first."""
