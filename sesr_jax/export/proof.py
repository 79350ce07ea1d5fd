"""The proof of the collapse: how far the collapsed network is from the expanded one that was trained.

    proof = prove_collapse(network)
    proof.difference      # about 1e-6, for values in [0, 1]

By algebra they are equal, and float32 rounds them differently. A larger difference is a defect, of the
weights' file or of this package, and is refused before anything is written.
"""

import dataclasses

import jax
import jax.numpy as jnp

from sesr_jax.errors import InputError
from sesr_jax.models.network import Network
from sesr_jax.reparam.cost import make_photo_noise
from sesr_jax.reparam.terms import Conv, is_term

SIDE = 96
"""The height and width of the image, in pixels: more than twice the receptive field of the zoo's networks."""

TOLERANCE = 1e-4
"""The largest difference allowed, as a share of the largest output, or of 1 where that is more. It is a
hundred times the rounding seen in float32, and a fortieth of an 8-bit code."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Proof:
    """A measured difference.

    Attributes:
      difference: the largest difference between the outputs of the expanded and the collapsed network, on
        noise with the spectrum of photos; None where the weights were collapsed before, so that nothing is
        left to compare with.
      shape: the shape of the image.
      dtype: the type of the arithmetic.
    """

    difference: float | None
    shape: tuple[int, ...]
    dtype: str


def prove_collapse(network: Network) -> Proof:
    """Runs `network` expanded and collapsed, both in float without ranges, and compares the outputs.

    Raises:
      InputError: the two differ by more than rounding explains, or give values that are not finite.
    """
    written = network.without_ranges()
    x = jnp.asarray(make_photo_noise((1, SIDE, SIDE, network.channels)))
    collapsed = written.collapse()
    result = jax.jit(collapsed.apply)(x)
    if not jnp.isfinite(result).all():
        raise InputError(
            f"{network.name} gives values that are not finite on an image of {SIDE}×{SIDE}; check its "
            "weights for NaN."
        )
    unmeasured = Proof(difference=None, shape=x.shape, dtype=str(result.dtype))
    leaves = jax.tree.leaves(written.variables, is_leaf=is_term)
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
