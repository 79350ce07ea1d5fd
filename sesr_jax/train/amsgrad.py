"""AMSGrad as Keras and PyTorch compute it, which is not the `amsgrad` of optax.

    optimiser = keras_amsgrad(5e-4)

Reddi et al. (On the Convergence of Adam and Beyond, ICLR 2018) divide by the largest second moment seen so
far. Keras and PyTorch take the maximum of the raw moment ``v`` and correct its bias afterwards; optax
takes the maximum of the corrected one, ``v / (1 - b2^t)``. At the first step the correction is a factor of
1,000, so that optax never forgets the first gradients, and takes small steps ever after. Papers that were
trained with Keras or PyTorch, SESR among them, mean the rule of this module, and recipes name it.
``python -m benchmarks.amsgrad`` steps all four over the same gradients.
"""

from typing import Any, NamedTuple

import chex
import jax
import jax.numpy as jnp
import optax


class KerasAmsgradState(NamedTuple):
    """The state of `scale_by_keras_amsgrad`.

    Attributes:
      steps: int32 ``[]``, the number of updates.
      mu: the first moment of every parameter.
      nu: the second moment, not corrected for its bias.
      nu_max: the largest value of `nu` so far.
    """

    steps: chex.Array
    mu: Any
    nu: Any
    nu_max: Any


def scale_by_keras_amsgrad(
    b1: float = 0.9, b2: float = 0.999, eps: float = 1e-7
) -> optax.GradientTransformation:
    """Returns the transformation that turns gradients into AMSGrad's directions, by Keras' rule.

    With ``m`` and ``v`` the moving averages of the gradient and of its square, step t gives
    ``sqrt(1 - b2^t) / (1 - b1^t) · m / (sqrt(max v) + eps)``.

    Args:
      b1: the decay of the first moment.
      b2: the decay of the second moment.
      eps: is added to the denominator, behind the root. PyTorch adds its 1e-8 to the corrected root; the two
        differ only where gradients are about as small.
    """

    def init(params: Any) -> KerasAmsgradState:
        # Three arrays each: a training step gives its buffers away, which no two may share.
        mu, nu, nu_max = (jax.tree.map(jnp.zeros_like, params) for _ in range(3))
        return KerasAmsgradState(jnp.zeros((), jnp.int32), mu, nu, nu_max)

    def update(
        updates: Any, state: KerasAmsgradState, params: Any = None
    ) -> tuple[Any, KerasAmsgradState]:
        del params
        steps = optax.safe_increment(state.steps)
        mu = jax.tree.map(lambda g, m: b1 * m + (1 - b1) * g, updates, state.mu)
        nu = jax.tree.map(lambda g, v: b2 * v + (1 - b2) * g**2, updates, state.nu)
        nu_max = jax.tree.map(jnp.maximum, state.nu_max, nu)
        t = steps.astype(jnp.float32)
        correction = jnp.sqrt(1 - b2**t) / (1 - b1**t)
        directions = jax.tree.map(
            lambda m, v: (correction * m / (jnp.sqrt(v) + eps)).astype(m.dtype), mu, nu_max
        )
        return directions, KerasAmsgradState(steps, mu, nu, nu_max)

    return optax.GradientTransformation(init, update)


def keras_amsgrad(
    learning_rate: optax.ScalarOrSchedule, b1: float = 0.9, b2: float = 0.999, eps: float = 1e-7
) -> optax.GradientTransformation:
    """Returns AMSGrad by Keras' rule; the arguments are those of `scale_by_keras_amsgrad`."""
    return optax.chain(
        scale_by_keras_amsgrad(b1, b2, eps), optax.scale_by_learning_rate(learning_rate)
    )
