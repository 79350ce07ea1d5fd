"""Distillation: a batch's targets move towards what a trained network, the teacher, makes of its crops.

    target = make_target(config, channels=1)
    hr = target(lr, hr)

With the weight w and the teacher's image T(lr), clipped to [0, 1], the target is (1 - w) · HR + w · T(lr).
HR is sharpened first where ``config.data.sharpened`` asks for it (Real-ESRGAN). The trained network costs
afterwards what it would without a teacher. By `ensemble`, T is the mean of what the teacher makes under the
eight symmetries of the square (the self-ensemble of Lim et al., CVPR Workshops 2017), which is better than
the teacher alone: a network may learn from its own.

Limits: crops are square; the teacher, collapsed and in float32, runs in every step, eight times with
`ensemble`.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import ml_collections

from sesr_jax.data.degradation import sharpen
from sesr_jax.errors import InputError
from sesr_jax.models import network

Target = Callable[[jax.Array, jax.Array], jax.Array]
"""From LR ``[N, p, p, C]`` and HR ``[N, s·p, s·p, C]`` in [0, 1] to the image that is to be learned."""


def make_target(config: ml_collections.ConfigDict, channels: int, *, files: bool = True) -> Target:
    """Returns what `config.distill` and `config.data.sharpened` ask for: HR itself where neither is set.

    Args:
      config: as `train.config.base`.
      channels: C of the network that is trained.
      files: whether the teacher is read; without, it is left out.

    Raises:
      InputError: the teacher's file is missing or damaged, or it has another scale or other channels.
    """
    wanted = config.distill
    prepare = jax.vmap(sharpen) if config.data.sharpened else lambda hr: hr
    if not wanted.weight or not files:
        return lambda lr, hr: prepare(hr)
    teacher = network.load(wanted.teacher).collapse()
    its, ours = (teacher.scale, teacher.channels), (config.model.scale, channels)
    if its != ours:
        raise InputError(
            "config.distill.teacher {} is for ×{} and {} channels, but the network for ×{} and {}: both must "
            "be equal.".format(wanted.teacher, *its, *ours)
        )
    upscale = self_ensemble(teacher.apply) if wanted.ensemble else teacher.apply

    def target(lr: jax.Array, hr: jax.Array) -> jax.Array:
        image = jnp.clip(upscale(lr), 0.0, 1.0)
        return (1 - wanted.weight) * prepare(hr) + wanted.weight * image

    return target


def self_ensemble(upscale: Callable[[jax.Array], jax.Array]) -> Callable[[jax.Array], jax.Array]:
    """Returns `upscale` of square images, averaged over the eight symmetries of the square, as one batch."""

    def average(x: jax.Array) -> jax.Array:
        variants = jnp.concatenate([_turn(x, symmetry) for symmetry in range(8)])
        images = jnp.split(upscale(variants), 8)
        return sum(_turn_back(y, symmetry) for symmetry, y in enumerate(images)) / 8  # type: ignore[return-value]

    return average


def _turn(x: jax.Array, symmetry: int) -> jax.Array:
    """Applies one of the eight symmetries, from 0 to 7, to ``[N, p, p, C]``: flips, then a transposition."""
    x = jnp.flip(x, _flip_axes(symmetry))
    return x.swapaxes(1, 2) if symmetry & 4 else x


def _turn_back(x: jax.Array, symmetry: int) -> jax.Array:
    x = x.swapaxes(1, 2) if symmetry & 4 else x
    return jnp.flip(x, _flip_axes(symmetry))


def _flip_axes(symmetry: int) -> tuple[int, ...]:
    return tuple(axis for axis in (1, 2) if symmetry & axis)
