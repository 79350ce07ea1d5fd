"""`import_weights`: a file of another project as one of this project's networks."""

import functools
import os
from collections.abc import Callable
from typing import Any

from flax import linen as nn

from sesr_jax.errors import InputError, look_up
from sesr_jax.importers import aimet, arm, ecbsr, sesr_jax_haiku
from sesr_jax.importers.arrays import Misfit, read_arrays
from sesr_jax.models import create
from sesr_jax.models.ecbsr import ECBSR
from sesr_jax.models.network import Network
from sesr_jax.models.sesr import SESR

SOURCES: dict[str, tuple[type[nn.Module], Callable[..., Any]]] = {
    "arm": (SESR, arm.convert),
    "aimet": (SESR, aimet.convert),
    "ecbsr": (ECBSR, ecbsr.convert),
    "sesr-jax": (SESR, sesr_jax_haiku.convert),
}
"""By project: the family of networks that it holds, and what converts its arrays."""


def import_weights(
    source: str,
    path: str | os.PathLike[str],
    *,
    model: str,
    scale: int,
    reading: arm.Reading = "exact",
    **options: Any,
) -> Network:
    """The network that `path` holds, expanded as it was trained.

    Args:
      source: the project that wrote it, a key of `SOURCES`; its module has the map of names.
      path: the file; see `read_arrays` for the kinds.
      model: the variant of the zoo that it is.
      scale: the scale factor.
      reading: of the biases inside Arm's linear blocks; "released" gives a collapsed network. See
        `importers.arm`.
      **options: the module's fields that differ from the variant's, for networks of other sizes. What
        the file shows (expansion, activation, channels) needs no option.

    Raises:
      InputError: the source is unknown or holds no such model, or the file can't be read or has
        other variables than the network.
    """
    family, convert = look_up("source", source, SOURCES)
    plain = create(model, scale=scale)
    if not isinstance(plain, family):
        raise InputError(
            f"{source} holds no {model}: its networks are of the family {family.__name__}; choose "
            "another source or model."
        )
    if reading not in ("exact", "released"):
        raise InputError(f"unknown reading {reading!r}: it must be exact or released.")
    if reading != "exact":
        if source != "arm":
            raise InputError(
                f"the reading {reading!r} is of Arm's linear blocks, not of {source}: leave it out."
            )
        convert = functools.partial(convert, reading=reading)
    arrays = read_arrays(path)
    try:
        found, params = convert(
            arrays, lambda **found: create(model, scale=scale, **(found | options))
        )
    except Misfit as misfit:
        raise InputError(
            f"{path} is no {model} ×{scale} of {source} ({misfit}); choose the model, scale and source "
            "that it was trained as."
        ) from misfit
    chosen = {k: v for k, v in (found | options).items() if v != getattr(plain, k, None)}
    return Network(name=model, scale=scale, variables={"params": params}, options=chosen)
