"""Mixing two networks, weight by weight.

    network = mix(denoising, plain, 0.7)

The weights of two networks of which one was trained on from the other, or both from a third, can be
interpolated, and what they do is interpolated with them (Wang et al., Deep Network Interpolation, CVPR 2019).
"""

import dataclasses

import jax

from sesr_jax.errors import InputError
from sesr_jax.models.network import Network


def mix(first: Network, second: Network, share: float) -> Network:
    """Returns the network whose weights are ``share · first + (1 - share) · second``.

    Raises:
      InputError: the share lies outside [0, 1], or the networks differ in more than their weights.
    """
    if not 0 <= share <= 1:
        raise InputError(f"a share of {share} was given: it must lie in [0, 1].")
    for what in ("title", "channels"):
        if getattr(first, what) != getattr(second, what):
            raise InputError(
                f"{first.title} and {second.title} cannot be mixed: they must differ in nothing but weights."
            )
    one, other = first.collapse(), second.collapse()
    mixed = jax.tree.map(lambda a, b: share * a + (1 - share) * b, one.variables, other.variables)
    return dataclasses.replace(one, variables=mixed)
