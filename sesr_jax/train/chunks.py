"""A batch's gradient a few crops at a time, so that what the layers hold stays in a CPU's cache.

    gradient = chunked(jax.value_and_grad(objective, has_aux=True), module)
    (loss, seen), grads = gradient(variables, lr, hr, phase)

The expanded parameters are collapsed once, and the gradient of their kernels, summed over the chunks, goes
back through the collapse once: a chunk costs convolutions alone. Sums are in another order than a whole
batch's; nothing else differs. A step that measures its batch (statistics, ranges) takes it whole.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn
from jax import lax

from sesr_jax import convolution, graph
from sesr_jax.errors import InputError
from sesr_jax.quant import RANGES
from sesr_jax.reparam import collapse, statistics
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
        batch, height, width, _ = lr.shape
        size = convolution.images_of(batch, height * width)
        measures = RANGES in variables or statistics(variables["params"])
        if size == batch or measures or not _loops(module, variables, lr.shape, dtype):
            return gradient(variables, lr, hr, phase)

        def collapsed(expanded: Any) -> Any:
            return {**expanded, "params": collapse(expanded["params"])}

        kernels, to_expanded = jax.vjp(collapsed, variables)

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


def _loops(module: nn.Module, variables: Any, shape: tuple[int, ...], dtype: Any) -> bool:
    """Whether the network's convolutions are fast inside a loop."""
    try:
        nodes = graph.trace(module, variables, shape, dtype).nodes
    except InputError:  # it runs its expanded terms
        return False
    image = jax.ShapeDtypeStruct(shape, dtype)
    return all(
        node.op != "conv2d_transpose"
        and (node.op != "conv2d" or convolution.applies(image, **node.attrs))
        for node in nodes
    )
