"""A batch's gradient a few crops at a time, so that what the layers hold stays in a CPU's cache.

    gradient = chunked(jax.value_and_grad(objective, has_aux=True), module)
    (loss, seen), grads = gradient(variables, lr, hr, phase)

In the mode "collapsed" the parameters are collapsed once, and the gradient of their kernels, summed over
the chunks, goes back through the collapse once: a chunk costs convolutions alone. Sums are in another order
than a whole batch's; nothing else differs. A step that measures its batch (statistics, ranges) takes it
whole.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn
from jax import lax

from sesr_jax import convolution
from sesr_jax.quant import RANGES
from sesr_jax.reparam import collapse, statistics
from sesr_jax.reparam.cost import inner_jaxprs
from sesr_jax.train.objective import Phase, Seen

Gradient = Callable[[Any, jax.Array, jax.Array, Phase], tuple[tuple[jax.Array, Seen], Any]]
"""Loss, what was seen and the gradient, of variables and a batch."""


def chunked(gradient: Gradient, module: nn.Module, dtype: Any) -> Gradient:
    """`gradient` of a loss that is a mean over images, in chunks where that is faster.

    Args:
      gradient: as ``jax.value_and_grad`` of an objective gives it.
      module: the network.
      dtype: of its activations.
    """
    if jax.default_backend() != "cpu":
        return gradient

    def compute(
        variables: Any, lr: jax.Array, hr: jax.Array, phase: Phase
    ) -> tuple[tuple[jax.Array, Seen], Any]:
        if RANGES in variables or statistics(variables["params"]):
            return gradient(variables, lr, hr, phase)

        def run_in(expanded: Any) -> Any:
            """What the mode convolves with."""
            if getattr(module, "mode", None) == "expanded":
                return expanded
            return {**expanded, "params": collapse(expanded["params"])}

        kernels, to_expanded = jax.vjp(run_in, variables)
        batch, height, width, _ = lr.shape
        widest = max(p.shape[-1] for p in jax.tree.leaves(kernels) if p.ndim)
        size = convolution.images_of(batch, height * width * widest)
        image = jax.ShapeDtypeStruct((size, *lr.shape[1:]), dtype)
        if size == batch or not loops(module.apply, kernels, image):
            return gradient(variables, lr, hr, phase)

        def add(total: Any, crops: Any) -> tuple[Any, None]:
            low, high = crops
            (loss, _), grads = gradient(kernels, low, high, phase)
            return jax.tree.map(jnp.add, total, (loss, grads)), None

        start: Any = jnp.zeros(()), jax.tree.map(jnp.zeros_like, kernels)
        count = batch // size
        crops: Any = tuple(images.reshape(count, size, *images.shape[1:]) for images in (lr, hr))
        total, _ = lax.scan(add, start, crops)
        loss, grads = jax.tree.map(lambda value: value / count, total)
        return (loss, Seen(statistics={}, ranges={})), *to_expanded(grads)

    return compute


def loops(function: Callable[..., Any], *args: Any) -> bool:
    """Whether ``function(*args)`` and its gradient are fast inside a loop.

    There, XLA's CPU compiler leaves its fast convolutions, but for those of `convolution.convolve`: a step
    of others takes 40 times as long and more.
    """
    return jax.default_backend() != "cpu" or _loops(jax.make_jaxpr(function)(*args).jaxpr)


def _loops(jaxpr: Any) -> bool:
    return all(
        equation.primitive.name == "custom_vjp_call"
        or (
            equation.primitive.name != "conv_general_dilated"
            and all(map(_loops, inner_jaxprs(equation.params)))
        )
        for equation in jaxpr.eqns
    )
