"""What training does otherwise on a CPU, where XLA's own choices are slow. Every such decision is made here.

    gradient = make_gradient(objective, module, jnp.float32)
    (loss, seen), grads = gradient(variables, batch, phase)

- **Convolutions get the kernels of `train.convolution`.** `with_fast_convolutions` replaces them in the
  jaxpr of the objective, so that networks, terms and operations stay as XLA has them, with all derivatives.
- **A batch's gradient is computed a few crops at a time**, so that what the layers hold stays in the cache.
  In the mode "collapsed" the parameters are collapsed once, and the gradient of their kernels, summed over
  the chunks, goes back through the collapse once: a chunk costs convolutions alone. The sums are in another
  order than those of a whole batch. A step that measures its batch (statistics, ranges) takes it whole.
- **The host loops over steps** where a convolution would be slow in a loop on the device
  (`is_fast_in_loops`).
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn
from jax import lax
from jax.extend import core as jax_core

from sesr_jax.data.feed import Batch
from sesr_jax.quant import RANGES
from sesr_jax.reparam import collapse, find_statistics
from sesr_jax.reparam.cost import find_inner_jaxprs
from sesr_jax.reparam.linear_conv import is_expanded
from sesr_jax.train import convolution
from sesr_jax.train.objective import Objective, Phase, Seen

Gradient = Callable[[Any, Batch, Phase], tuple[tuple[jax.Array, Seen], Any]]
"""Loss, what was seen and the gradient, of variables and a batch."""

_DENSE_GROUPS = 4
"""Up to so many groups, a dense kernel with zeros is faster than a grouped one."""


def make_gradient(objective: Objective, module: nn.Module, dtype: Any) -> Gradient:
    """Returns the gradient of a loss that is a mean over images.

    Args:
      objective: the loss.
      module: the network.
      dtype: of its activations.
    """
    if jax.default_backend() != "cpu":
        return jax.value_and_grad(objective, has_aux=True)

    def compute_whole(
        variables: Any, batch: Batch, phase: Phase
    ) -> tuple[tuple[jax.Array, Seen], Any]:
        loss = with_fast_convolutions(lambda variables, batch: objective(variables, batch, phase))
        return jax.value_and_grad(loss, has_aux=True)(variables, batch)

    def compute(variables: Any, batch: Batch, phase: Phase) -> tuple[tuple[jax.Array, Seen], Any]:
        if RANGES in variables or find_statistics(variables["params"]):
            return compute_whole(variables, batch, phase)

        def deploy(variables: Any) -> Any:
            """Returns the variables that the mode convolves with."""
            if is_expanded(module):
                return variables
            return {**variables, "params": collapse(variables["params"])}

        kernels, to_expanded = jax.vjp(with_fast_convolutions(deploy), variables)
        crops, height, width, _ = batch.lr.shape
        widest = max(p.shape[-1] for p in jax.tree.leaves(kernels) if p.ndim)
        size = convolution.images_per_chunk(crops, height * width * widest)
        image = jax.ShapeDtypeStruct((size, *batch.lr.shape[1:]), dtype)
        if size == crops or not is_fast_in_loops(module.apply, kernels, image):
            return compute_whole(variables, batch, phase)
        count = crops // size
        chunks = jax.tree.map(lambda x: x.reshape(count, size, *x.shape[1:]), batch)

        def compute_chunk(chunk: Batch) -> Any:
            (loss, seen), grads = compute_whole(kernels, chunk, phase)
            return loss, seen.metrics, grads

        def add(total: Any, chunk: Batch) -> tuple[Any, None]:
            return jax.tree.map(jnp.add, total, compute_chunk(chunk)), None

        shapes = jax.eval_shape(compute_chunk, jax.tree.map(lambda x: x[0], chunks))
        start = jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), shapes)
        total, _ = lax.scan(add, start, chunks)
        loss, metrics, grads = jax.tree.map(lambda value: value / count, total)
        return (loss, Seen(statistics={}, ranges={}, metrics=metrics)), *to_expanded(grads)

    return compute


def speed_up(function: Callable[..., Any]) -> Callable[..., Any]:
    """Returns a loss as this backend computes it, and its reverse-mode gradient, fast."""
    return with_fast_convolutions(function) if jax.default_backend() == "cpu" else function


def with_fast_convolutions(function: Callable[..., Any]) -> Callable[..., Any]:
    """Returns `function` with `convolution.convolve` in the place of the convolutions that it can compute.

    The values stay the same to the last bit; reverse-mode derivatives become fast, and forward-mode ones are
    lost. Convolutions inside of custom derivative rules stay as they are.

    Args:
      function: anything that jax can trace, of pytrees of arrays.
    """

    def run(*args: Any) -> Any:
        closed, shapes = jax.make_jaxpr(function, return_shape=True)(*args)
        replaced = jax_core.jaxpr_as_fun(closed.replace(jaxpr=_replace_all(closed.jaxpr)))
        return jax.tree.unflatten(jax.tree.structure(shapes), replaced(*jax.tree.leaves(args)))

    return run


def _replace_all(jaxpr: Any) -> Any:
    return jaxpr.replace(eqns=[_replace(equation) for equation in jaxpr.eqns])


def _replace(equation: Any) -> Any:
    """Returns the equation with fast convolutions in the place of those that it runs."""
    if is_fast(equation):
        padding, groups = (equation.params[k] for k in ("padding", "feature_group_count"))
        ours = jax.make_jaxpr(lambda x, kernel: convolution.convolve(x, kernel, padding, groups))
        (call,) = ours(*(v.aval for v in equation.invars)).eqns
        return call.replace(invars=equation.invars, outvars=equation.outvars)
    inner = equation.params.get("jaxpr")
    if isinstance(inner, jax_core.ClosedJaxpr):
        inner = inner.replace(jaxpr=_replace_all(inner.jaxpr))
    elif isinstance(inner, jax_core.Jaxpr):
        inner = _replace_all(inner)
    else:
        return equation
    return equation.replace(params=equation.params | {"jaxpr": inner})


def is_fast(equation: Any) -> bool:
    """Returns whether `convolution.convolve` computes this equation, faster than the compiler."""
    if equation.primitive.name != "conv_general_dilated":
        return False
    params, (x, kernel) = equation.params, (v.aval for v in equation.invars)
    orders = params["dimension_numbers"]
    return (
        x.dtype == kernel.dtype == jnp.float32
        and (orders.lhs_spec, orders.rhs_spec, orders.out_spec) == _ORDERS
        and params["window_strides"] == params["lhs_dilation"] == params["rhs_dilation"] == (1, 1)
        and params["batch_group_count"] == 1
        and params["feature_group_count"] <= _DENSE_GROUPS
        and all(
            0 <= side < size
            for sides, size in zip(params["padding"], kernel.shape[:2], strict=True)
            for side in sides
        )
    )


_ORDERS = ((0, 3, 1, 2), (3, 2, 0, 1), (0, 3, 1, 2))
"""NHWC, HWIO and NHWC, as jaxprs have them."""


def is_fast_in_loops(function: Callable[..., Any], *args: Any) -> bool:
    """Returns whether ``function(*args)`` and its gradient are fast inside a loop on this backend.

    There, XLA's CPU compiler leaves its fast convolutions, but for those of `convolution.convolve`: a step
    of others takes 40 times as long and more.
    """
    return jax.default_backend() != "cpu" or _all_fast(jax.make_jaxpr(function)(*args).jaxpr)


def _all_fast(jaxpr: Any) -> bool:
    return all(
        is_fast(equation)
        or equation.primitive.name == "custom_vjp_call"
        or (
            equation.primitive.name != "conv_general_dilated"
            and all(map(_all_fast, find_inner_jaxprs(equation.params)))
        )
        for equation in jaxpr.eqns
    )
