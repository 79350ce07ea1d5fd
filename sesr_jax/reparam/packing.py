"""Trees of terms as flat arrays and a JSON skeleton, which file formats without pickle can hold.

The skeleton names each term by its class:

arrays, skeleton = pack(params)
params = unpack(arrays, skeleton)
"""

import dataclasses
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from sesr_jax.errors import InputError
from sesr_jax.reparam import combinators, filters, norm, terms
from sesr_jax.reparam.terms import Term

TERMS = {
    name: value
    for module in (terms, combinators, filters, norm)
    for name, value in vars(module).items()
    if isinstance(value, type) and issubclass(value, Term) and value is not Term
}
"""Every kind of term by name."""


def pack(tree: Any) -> tuple[dict[str, np.ndarray], Any]:
    """Splits nested dicts, tuples and terms into arrays by path and a skeleton that JSON can hold.

    Lists come back as tuples.
    """
    arrays: dict[str, np.ndarray] = {}

    def visit(value: Any, path: str) -> Any:
        if isinstance(value, Term):
            fields = {f.name: getattr(value, f.name) for f in dataclasses.fields(value)}  # type: ignore[arg-type]
            return {"term": type(value).__name__, "fields": _children(fields, path)}
        if isinstance(value, Mapping):
            return {"dict": _children(value, path)}
        if isinstance(value, tuple | list):
            return {"tuple": list(_children(dict(enumerate(value)), path).values())}
        if isinstance(value, jax.Array | np.ndarray):
            arrays[path] = np.asarray(value)
            return {"array": path}
        return {"static": value}

    def _children(items: Mapping[Any, Any], path: str) -> dict[Any, Any]:
        return {
            key: visit(value, f"{path}/{key}" if path else str(key)) for key, value in items.items()
        }

    return arrays, visit(tree, "")


def unpack(arrays: Mapping[str, np.ndarray], skeleton: Any) -> Any:
    """Puts together again what `pack` split.

    Raises:
      InputError: the skeleton names an array that is missing or a term that this version lacks.
    """
    ((kind, value),) = [item for item in skeleton.items() if item[0] != "fields"]
    if kind == "term":
        if value not in TERMS:
            raise InputError(
                f"unknown term {value!r}: it must be one of {sorted(TERMS)}; update sesr_jax."
            )
        fields = {name: unpack(arrays, child) for name, child in skeleton["fields"].items()}
        return TERMS[value](**fields)
    if kind == "dict":
        return {key: unpack(arrays, child) for key, child in value.items()}
    if kind == "tuple":
        return tuple(unpack(arrays, child) for child in value)
    if kind == "array":
        if value not in arrays:
            raise InputError(
                f"the array {value!r} is missing: the file is incomplete; fetch it again."
            )
        return jnp.asarray(arrays[value])
    return tuple(value) if isinstance(value, list) else value
