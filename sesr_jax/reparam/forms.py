"""Forms: what a convolution is made of while it trains.

A form is an initialiser ``form(key, in_features, out_features) -> term``; a function of this module
makes one from a kernel size. Kernels start Glorot-uniform and biases at zero, as in SESR's code.

    form = with_residual(collapsible(3, expansion=256))
    term = form(jax.random.key(0), 16, 16)
    term.collapse().kernel.shape    # (3, 3, 16, 16)

Forms compose: `conv` says what a form makes its own convolutions of. ACNet's block of collapsible
blocks of kernel bases is one expression, and one collapse:

    inner = functools.partial(collapsible, expansion=32, conv=kernel_basis)
    form = acnet(3, conv=inner)

A kernel size is an int (square) or (height, width). Where a paper's batch norm is a habit of
classifiers more than a part of the block, `batch_norm` asks for it; see `norm`.
"""

import functools
import itertools
from collections.abc import Callable, Sequence
from typing import TypeAlias

import jax
import jax.numpy as jnp

from sesr_jax.errors import InputError, look_up
from sesr_jax.reparam.combinators import Sequential, Sum
from sesr_jax.reparam.filters import (
    AveragePool,
    Depthwise,
    Select,
    frequency_prior,
    laplacian,
    sobel_x,
    sobel_y,
)
from sesr_jax.reparam.norm import make_batch_norm
from sesr_jax.reparam.terms import Basis, Conv, Identity, Scale, Term

Form: TypeAlias = Callable[[jax.Array, int, int], Term]
KernelSize: TypeAlias = int | tuple[int, int]
Factory: TypeAlias = Callable[[KernelSize], Form]
"""Makes a form from a kernel size, as every function of this module does."""

glorot = jax.nn.initializers.glorot_uniform()


def dense(
    kernel_size: KernelSize,
    *,
    strides: tuple[int, int] = (1, 1),
    start: jax.nn.initializers.Initializer = glorot,
    bias: bool = True,
) -> Form:
    """Makes a plain convolution, without over-parameterisation; `start` draws its kernel."""

    def form(key: jax.Array, in_features: int, out_features: int) -> Term:
        kernel = start(key, (*_height_width(kernel_size), in_features, out_features))
        return Conv(kernel, jnp.zeros(out_features) if bias else None, strides=strides)

    return form


def conv_bn(kernel_size: KernelSize, *, conv: Factory = dense) -> Form:
    """Makes a convolution and its batch norm, whose mean absorbs the convolution's bias."""

    def form(key: jax.Array, in_features: int, out_features: int) -> Term:
        inner = conv(kernel_size)(key, in_features, out_features)
        return Sequential((inner, make_batch_norm(out_features)))

    return form


def collapsible(
    kernel_size: KernelSize,
    *,
    expansion: int = 256,
    residual: bool = False,
    conv: Factory = dense,
) -> Form:
    """SESR's collapsible linear block (Bhardwaj et al. 2022, §3.1): k×k to `expansion`, then 1×1.

    With `residual`, the short residual of the paper's Algorithm 2 is part of the term.
    """

    def form(key: jax.Array, in_features: int, out_features: int) -> Term:
        return _chain(key, (conv(kernel_size), conv(1)), (in_features, expansion, out_features))

    return with_residual(form) if residual else form


def expandnet_cl(kernel_size: KernelSize, *, expansion: int = 4, conv: Factory = dense) -> Form:
    """ExpandNet-CL (Guo et al. 2020, §3.1): 1×1, k×k, 1×1, with `expansion` times the channels inside."""

    def form(key: jax.Array, in_features: int, out_features: int) -> Term:
        widths = in_features, expansion * in_features, expansion * out_features, out_features
        return _chain(key, (conv(1), conv(kernel_size), conv(1)), widths)

    return form


def expandnet_ck(kernel_size: KernelSize, *, expansion: int = 4, conv: Factory = dense) -> Form:
    """ExpandNet-CK (Guo et al. 2020, §3.2): k×k as (k - 1) / 2 layers of 3×3; a 3×3 stays as it is.

    Raises:
      InputError: a side of the kernel is even.
    """
    size = _height_width(kernel_size)
    if any(side % 2 == 0 for side in size):
        raise InputError(
            f"expandnet_ck of a {size[0]}×{size[1]} kernel: layers of 3×3 make odd sides only."
        )
    layers = max(1, *(side // 2 for side in size))
    # A kernel of unequal sides runs out of one of them first.
    sizes = [tuple(3 if side // 2 > i else 1 for side in size) for i in range(layers)]

    def form(key: jax.Array, in_features: int, out_features: int) -> Term:
        inner = [expansion * in_features, *[expansion * out_features] * (layers - 2)]
        widths = (in_features, *inner[: layers - 1], out_features)
        return _chain(key, [conv(s) for s in sizes], widths)  # type: ignore[arg-type]

    return form


def acnet(kernel_size: KernelSize, *, batch_norm: bool = False, conv: Factory = dense) -> Form:
    """ACNet's asymmetric convolution block (Ding et al. 2019): k×k + k×1 + 1×k."""
    unit = functools.partial(conv_bn, conv=conv) if batch_norm else conv
    height, width = _height_width(kernel_size)

    def form(key: jax.Array, in_features: int, out_features: int) -> Term:
        forms = [unit(size) for size in ((height, width), (height, 1), (1, width))]
        return Sum(_branches(key, forms, in_features, out_features))

    return form


def repvgg(kernel_size: KernelSize, *, batch_norm: bool = False, conv: Factory = dense) -> Form:
    """RepVGG's block (Ding et al. 2021): k×k + 1×1 (+ identity where channels agree)."""
    unit = functools.partial(conv_bn, conv=conv) if batch_norm else conv

    def form(key: jax.Array, in_features: int, out_features: int) -> Term:
        terms = _branches(key, (unit(kernel_size), unit(1)), in_features, out_features)
        if in_features == out_features:
            terms += (make_batch_norm(in_features) if batch_norm else Identity(in_features),)
        return Sum(terms)

    return form


def mobileone(kernel_size: KernelSize, *, branches: int = 4, conv: Factory = dense) -> Form:
    """MobileOne's block (Vasu et al. 2023): `branches` of k×k, a 1×1 and the identity, each with BN."""
    unit = functools.partial(conv_bn, conv=conv)

    def form(key: jax.Array, in_features: int, out_features: int) -> Term:
        forms = [unit(kernel_size)] * branches
        if _height_width(kernel_size) != (1, 1):
            forms.append(unit(1))
        terms = _branches(key, forms, in_features, out_features)
        if in_features == out_features:
            terms += (make_batch_norm(in_features),)
        return Sum(terms)

    return form


def dbb(kernel_size: KernelSize, *, conv: Factory = dense) -> Form:
    """The diverse branch block (Ding et al. 2021): k×k + 1×1 + 1×1→k×k + 1×1→average, all with BN."""
    unit = functools.partial(conv_bn, conv=conv)

    def form(key: jax.Array, in_features: int, out_features: int) -> Term:
        keys = jax.random.split(key, 4)
        # The 1×1 before the k×k is trained as its distance from the identity.
        near = Sum((Conv(jnp.zeros((1, 1, in_features, in_features))), Identity(in_features)))
        deep = unit(kernel_size)(keys[2], in_features, out_features)
        pool = AveragePool(_height_width(kernel_size), out_features)
        return Sum(
            (
                unit(kernel_size)(keys[0], in_features, out_features),
                unit(1)(keys[1], in_features, out_features),
                Sequential((near, make_batch_norm(in_features), deep)),
                Sequential(
                    (
                        unit(1)(keys[3], in_features, out_features),
                        pool,
                        make_batch_norm(out_features),
                    )
                ),
            )
        )

    return form


def ecb(kernel_size: KernelSize, *, multiplier: int = 2, conv: Factory = dense) -> Form:
    """ECBSR's edge-oriented block (Zhang et al. 2021): k×k + 1×1→k×k + 1×1→ three scaled edge filters.

    The edge filters are 3×3 whatever the kernel size; `multiplier` widens the second branch.
    """

    def form(key: jax.Array, in_features: int, out_features: int) -> Term:
        wide, deep, *edges = jax.random.split(key, 5)
        terms = [
            conv(kernel_size)(wide, in_features, out_features),
            _chain(
                deep,
                (conv(1), conv(kernel_size)),
                (in_features, multiplier * out_features, out_features),
            ),
        ]
        for edge, mask in zip(edges, (sobel_x, sobel_y, laplacian), strict=True):
            point, scale, bias = jax.random.split(edge, 3)
            small = (1e-3 * jax.random.normal(k, (out_features,)) for k in (scale, bias))
            before = conv(1)(point, in_features, out_features)
            terms.append(Sequential((before, mask(out_features), Scale(*small))))
        return Sum(tuple(terms))

    return form


def repsr(kernel_size: KernelSize, *, multiplier: int = 2, conv: Factory = dense) -> Form:
    """RepSR's block (Wang et al. 2022): a clean identity and two paths of 1×1, BN and a squeezing conv.

    One path squeezes with k×k, the other with 1×1. The paper's code was never released.
    """

    def form(key: jax.Array, in_features: int, out_features: int) -> Term:
        expand = conv_bn(1, conv=conv)
        widths = in_features, multiplier * out_features, out_features
        keys = jax.random.split(key)
        terms: list[Term] = [
            _chain(k, (expand, conv(size)), widths)
            for k, size in zip(keys, (kernel_size, 1), strict=True)
        ]
        if in_features == out_features:
            terms.append(Identity(in_features))
        return Sum(tuple(terms))

    return form


def orepa(kernel_size: KernelSize, *, expansion: int = 8, conv: Factory = dense) -> Form:
    """OREPA's block (Hu et al. 2022): six linearly scaled branches, and one batch norm behind their sum.

    k×k, 1×1→average, 1×1→frequency prior, 1×1→k×k, 1×1, and depthwise→1×1 of `expansion`; the
    factors start at the paper's 0.25, 0.25, 0, 0.5, 1, 0.5.
    """
    size = _height_width(kernel_size)

    def form(key: jax.Array, in_features: int, out_features: int) -> Term:
        *keys, last = jax.random.split(key, 7)
        wide, point = conv(kernel_size), conv(1)
        io = in_features, out_features
        each = Depthwise(glorot(keys[5], (*size, in_features, expansion)))
        branches = (
            (0.25, (wide(keys[0], *io),)),
            (0.25, (point(keys[1], *io), AveragePool(size, out_features))),
            (0.0, (point(keys[2], *io), frequency_prior(size, out_features))),
            (0.5, (_chain(keys[3], (point, wide), (in_features, *io)),)),
            (1.0, (point(keys[4], *io),)),
            (0.5, (each, point(last, expansion * in_features, out_features))),
        )
        scaled = (Sequential((*t, Scale(jnp.full(out_features, v)))) for v, t in branches)
        return Sequential((Sum(tuple(scaled)), make_batch_norm(out_features)))

    return form


def conv3xc(kernel_size: KernelSize, *, gain: int = 2, conv: Factory = dense) -> Form:
    """SPAN's Conv3XC (Wan et al. 2024): 1×1, k×k, 1×1 with `gain` times the channels, + a 1×1."""
    deep = expandnet_cl(kernel_size, expansion=gain, conv=conv)

    def form(key: jax.Array, in_features: int, out_features: int) -> Term:
        return Sum(_branches(key, (deep, conv(1)), in_features, out_features))

    return form


def quicksrnet(kernel_size: KernelSize) -> Form:
    """QuickSRNet's start (Berger et al. 2023): a plain convolution with the identity added once.

    Output c starts near input c, counted round again where there are more outputs than inputs.
    """

    def form(key: jax.Array, in_features: int, out_features: int) -> Term:
        near = Select(tuple(c % in_features for c in range(out_features)), in_features)
        return Sum((dense(kernel_size)(key, in_features, out_features), near)).collapse()

    return form


def kernel_basis(kernel_size: KernelSize, *, size: int = 3) -> Form:
    """A basis of `size` kernels merged with weights 1/size (AIM 2020, UESTC-MediaLab)."""

    def form(key: jax.Array, in_features: int, out_features: int) -> Term:
        shape = (*_height_width(kernel_size), in_features, out_features)
        kernels = jnp.stack([glorot(k, shape) for k in jax.random.split(key, size)])
        return Basis(kernels, jnp.full(size, 1 / size), jnp.zeros(out_features))

    return form


def with_residual(form: Form) -> Form:
    """Adds the identity to `form`; the collapse folds it into the kernel (SESR, Algorithm 2)."""

    def form_with_residual(key: jax.Array, in_features: int, out_features: int) -> Term:
        if in_features != out_features:
            raise InputError(
                f"a residual around {in_features} → {out_features} channels: the numbers must be equal."
            )
        return Sum((form(key, in_features, out_features), Identity(in_features)))

    return form_with_residual


FORMS: dict[str, Callable[..., Form]] = {
    "dense": dense,
    "collapsible": collapsible,
    "expandnet_cl": expandnet_cl,
    "expandnet_ck": expandnet_ck,
    "acnet": acnet,
    "acnet_bn": functools.partial(acnet, batch_norm=True),
    "repvgg": repvgg,
    "repvgg_bn": functools.partial(repvgg, batch_norm=True),
    "mobileone": mobileone,
    "dbb": dbb,
    "ecb": ecb,
    "repsr": repsr,
    "orepa": orepa,
    "conv3xc": conv3xc,
    "quicksrnet": quicksrnet,
    "kernel_basis": kernel_basis,
}
"""The forms that a config can name; each takes a kernel size first."""


def find_form(form: Factory | str) -> Callable[..., Form]:
    """Returns the entry `form` of `FORMS`; a function stands for itself.

    Raises:
      InputError: there is no such entry.
    """
    return form if callable(form) else look_up("form", form, FORMS)


def _height_width(kernel_size: KernelSize) -> tuple[int, int]:
    return (kernel_size, kernel_size) if isinstance(kernel_size, int) else kernel_size


def _branches(
    key: jax.Array, forms: Sequence[Form], in_features: int, out_features: int
) -> tuple[Term, ...]:
    """Makes one term of each form, side by side."""
    keys = jax.random.split(key, len(forms))
    return tuple(form(k, in_features, out_features) for k, form in zip(keys, forms, strict=True))


def _chain(key: jax.Array, forms: Sequence[Form], widths: Sequence[int]) -> Sequential:
    """Makes one term of each form, one behind another, with `widths` channels before, between and behind."""
    keys = jax.random.split(key, len(forms))
    layers = zip(forms, keys, itertools.pairwise(widths), strict=True)
    return Sequential(tuple(form(k, before, after) for form, k, (before, after) in layers))
