"""The register of operations, which jits each under a name that a jaxpr keeps, and checks its keywords."""

import ast
import functools
import inspect
import math
import typing
from collections.abc import Callable
from typing import Any, Literal, TypeAlias

import jax
import numpy as np

from sesr_jax.errors import InputError
from sesr_jax.ops.spec import Spec

Padding = Literal["SAME", "VALID"] | tuple[tuple[int, int], tuple[int, int]]

OPS: dict[str, Callable[..., jax.Array]] = {}
"""Every operation by name; the values are the decorated functions of this package."""

SPECS: dict[str, Spec] = {}
"""What is known of each operation, by the same names."""

_PREFIX = "sesr_jax.ops."

Operation: TypeAlias = Callable[..., jax.Array]


def operation(spec: Spec) -> Callable[[Operation], Operation]:
    """Returns a decorator that registers a function as the operation of its name, with its `spec`."""

    def register(function: Operation) -> Operation:
        OPS[function.__name__] = _jit_by_name(function)
        SPECS[function.__name__] = spec
        return OPS[function.__name__]

    return register


def _jit_by_name(function: Operation) -> Operation:
    """Jits `function` under a name that carries its static arguments."""
    op = function.__name__
    keywords = {
        name: parameter
        for name, parameter in inspect.signature(function).parameters.items()
        if parameter.kind is inspect.Parameter.KEYWORD_ONLY
    }
    static = {name: parameter.default for name, parameter in keywords.items()}

    @functools.lru_cache(maxsize=None, typed=True)  # 2 and 2.0 are equal, and of two types
    def compiled(**attributes: Any) -> Callable[..., jax.Array]:
        for name, value in attributes.items():
            _check_type(f"ops.{op}'s {name}", value, keywords[name].annotation)

        def traced(*arrays: jax.Array) -> jax.Array:
            return function(*arrays, **attributes)

        traced.__name__ = f"{_PREFIX}{op}{tuple(attributes.items())!r}"
        return jax.jit(traced)

    @functools.wraps(function)
    def call(*arrays: jax.Array | float | None, **attributes: Any) -> jax.Array:
        missing = [name for name, default in static.items() if default is inspect.Parameter.empty]
        if unknown := (attributes.keys() - static) | (set(missing) - attributes.keys()):
            raise TypeError(
                f"ops.{op} takes the keywords {sorted(static)}; wrong or absent: {sorted(unknown)}"
            )
        given = {name: _simplify(value) for name, value in attributes.items()}
        return compiled(**dict(sorted((static | given).items())))(*arrays)

    return call


def _simplify(value: Any) -> Any:
    """Returns `value` in tuples and numbers of Python's own, whose `repr` can be read back.

    A value that no keyword can have becomes a text, which the check of its type then refuses.
    """
    if type(value) in (int, float, str):
        return value
    if isinstance(value, list | tuple):
        return tuple(map(_simplify, value))
    return _simplify(value.tolist()) if isinstance(value, np.generic | np.ndarray) else repr(value)


def _check_type(what: str, value: Any, kind: Any) -> None:
    """Raises InputError where `value` is not of the type `kind`."""
    if not _fits(value, kind):
        rule = "a finite number" if kind is float else inspect.formatannotation(kind)
        raise InputError(f"{what} is {value!r}: it must be {rule}; give it one.")


def _fits(value: Any, kind: Any) -> bool:
    """Returns whether `value` is of the type `kind`; floats must be finite, and may be whole numbers."""
    inner = typing.get_args(kind)
    if typing.get_origin(kind) is Literal:
        return value in inner
    if typing.get_origin(kind) is tuple:
        if not isinstance(value, tuple):
            return False
        kinds = inner[:1] * len(value) if inner[-1] is Ellipsis else inner
        return len(value) == len(kinds) and all(map(_fits, value, kinds))
    if inner:  # a union
        return any(_fits(value, one) for one in inner)
    if kind is float:
        return type(value) in (int, float) and math.isfinite(value)
    return type(value) is kind


def parse_name(name: str) -> tuple[str, dict[str, Any]] | None:
    """Returns the operation and its static attributes that a jaxpr equation's name spells; else None."""
    if not name.startswith(_PREFIX):
        return None
    op, _, attributes = name.removeprefix(_PREFIX).partition("(")
    return op, dict(ast.literal_eval(f"({attributes}"))
