"""Imports a weight file of another project as one of this project's networks."""

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
"""For each project, the family of its networks and the function that converts its arrays."""


def import_weights(
    source: str,
    path: str | os.PathLike[str],
    *,
    model: str,
    scale: int,
    reading: arm.Reading = "exact",
    **options: Any,
) -> Network:
    """Returns the network that `path` holds, expanded as it was trained.

    Args:
      source: the project that wrote the file, a key of `SOURCES`; its module has the map of names.
      path: the file; `read_arrays` lists the kinds.
      model: the model of the zoo that the file holds.
      scale: the scale factor.
      reading: how to read the biases inside Arm's linear blocks, see `importers.arm`; "released" returns
        a collapsed network.
      **options: the module's fields that differ from the model's, for networks of other sizes. The
        file shows the expansion, the activation and the channels, so that these need no option.

    Raises:
      InputError: the source is unknown or holds no such model, or the file can't be read or its
        variables are not those of the network.
    """
    family, convert = look_up("source", source, SOURCES)
    plain = create(model, scale=scale)
    if not isinstance(plain, family):
        raise InputError(
            f"{source} holds no {model}: its networks must be of the family {family.__name__}."
        )
    if reading not in ("exact", "released"):
        raise InputError(f"unknown reading {reading!r}: it must be exact or released.")
    if reading != "exact":
        if source != "arm":
            raise InputError(
                f"{source} has no reading {reading!r}: only Arm's linear blocks have several readings."
            )
        convert = functools.partial(convert, reading=reading)
    arrays = read_arrays(path)
    try:
        found, params = convert(
            arrays, lambda **found: create(model, scale=scale, **(found | options))
        )
    except Misfit as misfit:
        raise InputError(
            f"{path} holds no {model} ×{scale} of {source} ({misfit}): model, scale and source must be those "
            "of its training."
        ) from misfit
    chosen = {k: v for k, v in (found | options).items() if v != getattr(plain, k, None)}
    return Network(name=model, scale=scale, variables={"params": params}, options=chosen)
