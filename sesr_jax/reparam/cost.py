"""The cost of training an expression: multiply-accumulates of the expanded and of the collapsed pass.

    spent = count_training_cost(module, variables, (32, 64, 64, 1))
    spent.expanded.macs / spent.collapsed.macs

Everything is counted on the jaxprs of what runs, at no other cost than tracing: matrix products and
convolutions, at every position of their output, padding included, as papers count. Additions, biases'
and activations' multiplications are left out, as there.
"""

import dataclasses
import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from jax.extend import core as jax_core

from sesr_jax.errors import InputError
from sesr_jax.reparam.terms import Conv, Term, collapse, is_term


@dataclasses.dataclass(frozen=True, kw_only=True)
class Pass:
    """One way to run a module forward.

    Attributes:
      weights: elements of kernels: arrays of two or more dimensions, the "parameters" of most papers.
      parameters: elements of all arrays.
      macs: multiply-accumulates of the forward pass, without any collapse.
    """

    weights: int
    parameters: int
    macs: int


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrainingCost:
    """A module's forward pass in both modes, and what lies between them.

    Attributes:
      expanded: the terms as written.
      collapsed: the convolutions that they equal.
      collapse: multiply-accumulates of `collapse`, once per step whatever the batch.
      delta_collapse: the same by SESR's Algorithm 1, which sends an image of one pulse per channel
        through each block (Bhardwaj et al. 2022); the paper's own accounts hold this one.
    """

    expanded: Pass
    collapsed: Pass
    collapse: int
    delta_collapse: int


def count_training_cost(
    module: nn.Module, variables: Any, input_shape: Sequence[int]
) -> TrainingCost:
    """Counts both passes of `module`, which has a field `mode` (see `LinearConv`).

    Args:
      module: a `LinearConv`, or a network of them.
      variables: its expanded variables; shapes alone (`jax.eval_shape`) will do.
      input_shape: ``[N, H, W, C]`` of a training batch.
    """
    image = jax.ShapeDtypeStruct(tuple(input_shape), jnp.float32)
    deployed = jax.eval_shape(collapse, variables)
    leaves = jax.tree.leaves(variables, is_leaf=is_term)
    terms = [leaf for leaf in leaves if is_term(leaf) and not isinstance(leaf, Conv)]
    return TrainingCost(
        expanded=_measure_pass(module.clone(mode="expanded"), variables, image),
        collapsed=_measure_pass(module.clone(mode="collapsed"), deployed, image),
        collapse=macs(collapse, variables),
        delta_collapse=sum(macs(pulse_response, term) for term in terms),
    )


def _measure_pass(module: nn.Module, variables: Any, image: Any) -> Pass:
    sizes = [(math.prod(p.shape), len(p.shape)) for p in jax.tree.leaves(variables)]
    return Pass(
        weights=sum(size for size, rank in sizes if rank > 1),
        parameters=sum(size for size, _ in sizes),
        macs=macs(module.apply, variables, image),
    )


def pulse_response(term: Term) -> jax.Array:
    """Runs the term on one pulse per channel: ``[in, kh, kw, out]``, the kernel turned by 180°.

    It is the first step of SESR's Algorithm 1. Biases are in it at every tap: only for terms without
    any, or once they are subtracted, is it the kernel.
    """
    reach, size = term.reach, term.in_features
    pads = ((0, 0), (reach.top + reach.bottom,) * 2, (reach.left + reach.right,) * 2, (0, 0))
    return term.apply_valid(jnp.pad(jnp.eye(size)[:, None, None, :], pads))


def measure_output_difference(
    module: nn.Module, variables: Any, input_shape: Sequence[int]
) -> tuple[float, float]:
    """Returns the largest difference between the expanded and the collapsed pass, and the largest output.

    The image has a photo's spectrum. Vectors (biases, statistics) are moved from where they start:
    zeros would hide a bias that is lost at the border.
    """

    @jax.jit
    def both(variables: Any, x: jax.Array) -> tuple[jax.Array, jax.Array]:
        keys = iter(jax.random.split(jax.random.key(0), len(jax.tree.leaves(variables))))

        def shift(p: jax.Array) -> jax.Array:
            offset = jax.random.uniform(next(keys), p.shape, p.dtype, maxval=0.1)
            return p + offset if p.ndim < 2 else p

        variables = jax.tree.map(shift, variables)
        expanded = module.clone(mode="expanded").apply(variables, x)
        return expanded, module.clone(mode="collapsed").apply(collapse(variables), x)  # type: ignore[return-value]

    expanded, collapsed = both(variables, jnp.asarray(make_photo_noise(input_shape)))
    return float(jnp.abs(expanded - collapsed).max()), float(jnp.abs(expanded).max())


def make_photo_noise(shape: Sequence[int], seed: int = 0) -> np.ndarray:
    """Returns noise whose amplitude falls as 1/f, as photos' does (Field 1987): float32 `shape` in [0, 1]."""
    _, height, width, _ = shape
    frequency = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width))
    frequency[0, 0] = 1 / max(height, width)
    noise = np.fft.rfft2(np.random.default_rng(seed).normal(size=shape), axes=(1, 2))
    image = np.fft.irfft2(noise / frequency[..., None], s=(height, width), axes=(1, 2))
    return ((image - image.min()) / (np.ptp(image) or 1)).astype(np.float32)


def macs(function: Callable[..., Any], *args: Any) -> int:
    """Counts the multiply-accumulates of the matrix products and convolutions of ``function(*args)``.

    Args:
      function: anything that jax can trace.
      *args: arrays, or their shapes and dtypes, in any tree.

    Raises:
      InputError: a loop's length is not known from its jaxpr.
    """
    return _count(jax.make_jaxpr(function)(*args).jaxpr)


def _count(jaxpr: Any) -> int:
    return sum(map(_count_equation, jaxpr.eqns))


def _count_equation(equation: Any) -> int:
    name, params = equation.primitive.name, equation.params
    if name == "dot_general":
        (contracting, _), _ = params["dimension_numbers"]
        summed = math.prod(equation.invars[0].aval.shape[axis] for axis in contracting)
        return summed * math.prod(equation.outvars[0].aval.shape)
    if name == "conv_general_dilated":
        _, in_features, *window = params["dimension_numbers"].rhs_spec
        kernel = equation.invars[1].aval.shape
        taps = math.prod(kernel[axis] for axis in (in_features, *window))
        return taps * math.prod(equation.outvars[0].aval.shape)
    if name == "while":
        raise InputError("a while loop has no known number of rounds: count what it repeats.")
    return params.get("length", 1) * sum(map(_count, find_inner_jaxprs(params)))


def find_inner_jaxprs(params: dict[str, Any]) -> Iterator[Any]:
    """Yields the jaxprs that an equation with these parameters runs; of a `cond`, all branches."""
    for value in params.values():
        for item in value if isinstance(value, tuple) else (value,):
            if isinstance(item, jax_core.ClosedJaxpr):
                yield item.jaxpr
            elif isinstance(item, jax_core.Jaxpr):
                yield item
