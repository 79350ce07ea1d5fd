"""The proof of the collapse: how far the small network is from the large one that was trained.

    proof = prove_collapse(network)
    proof.difference      # about 1e-6, of values in [0, 1]

Algebra says that they are equal, and float32 rounds them differently. What is beyond rounding is a defect,
in the weights' file or here, and is refused before anything is written.
"""

import dataclasses

import jax
import jax.numpy as jnp

from sesr_jax.errors import InputError
from sesr_jax.models.network import Network
from sesr_jax.quant import RANGES
from sesr_jax.reparam.cost import photo_like
from sesr_jax.reparam.terms import Conv, is_term

SIDE = 96
"""Of the image, in pixels: more than twice the receptive field of the networks of the zoo."""

TOLERANCE = 1e-4
"""Of the largest output, or of 1 where that is more: a hundred times the rounding seen in float32, and a
fortieth of an 8-bit code."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Proof:
    """A measurement.

    Attributes:
      difference: the largest between the outputs of the expanded and the collapsed network, on noise with
        the spectrum of photos; None where the weights were collapsed before, so that nothing is left to
        compare with.
      shape: of the image.
      dtype: of the arithmetic.
    """

    difference: float | None
    shape: tuple[int, ...]
    dtype: str


def prove_collapse(network: Network) -> Proof:
    """Runs `network` as written and collapsed, both in float, without ranges.

    Raises:
      InputError: the two differ by more than rounding explains, or give values that are not finite.
    """
    variables = {key: value for key, value in network.variables.items() if key != RANGES}
    written = dataclasses.replace(network, variables=variables)
    x = jnp.asarray(photo_like((1, SIDE, SIDE, network.channels)))
    collapsed = written.collapsed()
    result = jax.jit(collapsed.apply)(x)
    if not jnp.isfinite(result).all():
        raise InputError(
            f"{network.name} gives values that are not finite on an image of {SIDE}×{SIDE}; check its "
            "weights for NaN."
        )
    unmeasured = Proof(difference=None, shape=x.shape, dtype=str(result.dtype))
    leaves = jax.tree.leaves(variables, is_leaf=is_term)
    if all(isinstance(leaf, Conv) for leaf in leaves if is_term(leaf)):
        return unmeasured
    large = dataclasses.replace(written, options={**written.options, "mode": "expanded"})
    expanded = jax.jit(large.apply)(x)
    difference = float(jnp.abs(expanded - result).max())
    bound = TOLERANCE * max(1.0, float(jnp.abs(expanded).max()))
    if not difference <= bound:
        raise InputError(
            f"the collapsed {network.name} differs from the expanded one by {difference:.2g} on an image of "
            f"{SIDE}×{SIDE}, where rounding explains {bound:.2g}; check the weights, and train or import "
            "them again."
        )
    return dataclasses.replace(unmeasured, difference=difference)
