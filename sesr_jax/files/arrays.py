"""Reading files of arrays whole or not at all."""

import os

import numpy as np
from safetensors import SafetensorError, safe_open

from sesr_jax.errors import InputError
from sesr_jax.untrusted import check_regular


def read_safetensors(path: str | os.PathLike[str]) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """Returns the arrays of a file by name, and its metadata.

    Raises:
      InputError: the file is damaged, or of another format.
    """
    check_regular(path)
    try:
        with safe_open(path, framework="numpy") as file:
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            return arrays, file.metadata() or {}
    # A TypeError: NumPy has no such numbers, such as bfloat16.
    except (OSError, SafetensorError, TypeError) as error:
        raise InputError(
            f"{path} is not a whole safetensors file ({error}); fetch it again."
        ) from error
