"""Trees of terms as flat arrays and a JSON skeleton, which file formats without pickle can hold.

The skeleton names each term by its class:

arrays, skeleton = pack(params)
params = unpack(arrays, skeleton)
"""

import dataclasses
from collections.abc import Mapping
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np

from sesr_jax.errors import InputError, look_up
from sesr_jax.reparam import combinators, filters, norm, terms
from sesr_jax.reparam.terms import Term
from sesr_jax.schema import build, show

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
      InputError: the skeleton is none, or names an array that is missing or a term that this version lacks; a
        term lacks a field, or has one of another type; or an array holds no floats.
    """
    kinds = [key for key in skeleton if key != "fields"] if isinstance(skeleton, Mapping) else []
    kind = kinds[0] if len(kinds) == 1 else None
    if kind not in _PARTS:
        raise InputError(
            f"a part of the structure is {show(skeleton)}: it must be one of {', '.join(_PARTS)}."
        )
    value = build(_PARTS[kind], skeleton[kind], f"a {kind} of the structure")
    if kind == "term":
        term = look_up("term", value, TERMS)
        children = build(
            _Table, skeleton.get("fields"), f"the fields of a {value} in the structure"
        )
        fields = {name: unpack(arrays, child) for name, child in children.items()}
        return build(term, fields, f"a {value} of the structure", closed=f"field of a {value}")
    if kind == "dict":
        return {key: unpack(arrays, child) for key, child in value.items()}
    if kind == "tuple":
        return tuple(unpack(arrays, child) for child in value)
    if kind == "array":
        if value not in arrays:
            raise InputError(
                f"the array {value!r} is missing: the file is incomplete; fetch it again."
            )
        if arrays[value].dtype.kind != "f":
            raise InputError(f"the array {value!r} is {arrays[value].dtype}: it must hold floats.")
        return jnp.asarray(arrays[value])
    return _to_tuples(value)


_Table: TypeAlias = Mapping[str, Any]
_PARTS = {"term": str, "dict": _Table, "tuple": tuple[Any, ...], "array": str, "static": Any}
"""The parts of a skeleton, and the type that each has."""


def _to_tuples(value: Any) -> Any:
    return tuple(map(_to_tuples, value)) if isinstance(value, list) else value
