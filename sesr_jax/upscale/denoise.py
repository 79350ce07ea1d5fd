"""How strongly noise is removed, by a network and its twin that was trained to keep more of it.

    network = load_denoiser("realesr-general-x4v3.bin", 0.5)

Real-ESRGAN's general network comes as two files, of which the one with "wdn" in its name (weak denoising)
keeps noise and texture. Its authors mix the weights of the two.
"""

import os
import pathlib
import re

from sesr_jax.errors import InputError
from sesr_jax.models.mixing import mix
from sesr_jax.models.network import Network
from sesr_jax.pretrained import find_network

_WEAK = "wdn"


def load_denoiser(
    spec: str | os.PathLike[str], strength: float, twin: str | os.PathLike[str] | None = None
) -> Network:
    """Returns the network `spec`, mixed with its twin.

    Args:
      spec: the network that removes noise, as `find_network` takes it.
      strength: from 0, the twin alone, to 1, the network alone.
      twin: the network that keeps more noise; by default the file beside `spec` with "wdn" in its name and no
        other difference but hyphens and underscores.

    Raises:
      InputError: there is no twin, it is another network, or the strength lies outside [0, 1].
    """
    if not 0 <= strength <= 1:
        raise InputError(f"a denoising of {strength} was given: it must lie in [0, 1].")
    return mix(find_network(spec), find_network(twin or find_twin(spec)), strength)


def find_twin(spec: str | os.PathLike[str]) -> pathlib.Path:
    """Returns the file beside `spec` whose name has "wdn" in it and is otherwise the same.

    Raises:
      InputError: there is no such file, or `spec` is such a file itself.
    """
    path = pathlib.Path(spec)
    if _WEAK in path.name.lower():
        raise InputError(
            f"{path} is itself the network that keeps more noise: the one without {_WEAK!r} must be given."
        )
    for other in sorted(path.parent.glob(f"*{path.suffix}")):
        if _WEAK in other.name.lower() and _simplify(other) == _simplify(path):
            return other
    raise InputError(
        f"{path} has no twin beside it that keeps more noise: it must be there, with {_WEAK!r} in its name, "
        "or be named."
    )


def _simplify(path: pathlib.Path) -> str:
    """Returns the name without "wdn", hyphens and underscores."""
    return re.sub(rf"{_WEAK}|[-_]", "", path.name.lower())
