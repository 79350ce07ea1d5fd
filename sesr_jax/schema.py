"""Checks values from files against types, in one place for every kind of file.

    scheme = build(Scheme, {"activations": "int8"}, "x.safetensors: scheme")    # Scheme is a dataclass
    step = build(Annotated[int, POSITIVE], 0, "log.jsonl: step")     # InputError: … it must be above 0.

A type is a dataclass (its fields' types count, and keys without a default must be there), a mapping, a
tuple, a Literal, a union, bool, int, float, str, Any, `Annotated` with a `Rule`, or a class whose
instances are meant. What is no number in JSON or TOML is none here: True is no 1. Numbers are finite, and
integers have at most 64 bits.
"""

import dataclasses
import math
import types
import typing
from collections.abc import Callable, Mapping
from typing import Annotated, Any, Literal, get_args, get_origin, get_type_hints

from sesr_jax.errors import InputError

_LARGEST = 1 << 63
_SHOWN = 80


@dataclasses.dataclass(frozen=True)
class Rule:
    """A rule for a value beside its type: in words, behind "it must be", and as a function."""

    text: str
    holds: Callable[[Any], bool]


POSITIVE = Rule("above 0", lambda value: value > 0)
NOT_NEGATIVE = Rule("0 or more", lambda value: value >= 0)


def build(kind: Any, value: Any, where: str, *, closed: str = "") -> Any:
    """Returns `value`, from a file, as a `kind`: lists become tuples, and tables dataclasses.

    Args:
      kind: a type, as the docstring of the module lists them.
      value: what was read, as JSON and TOML have it.
      where: the file and the place in it, with which messages begin.
      closed: what keys are called that a dataclass does not have, if these are refused, such as "figure of
        a target"; by default they are left out.

    Raises:
      InputError: it is no such value.
    """
    if dataclasses.is_dataclass(kind) and isinstance(kind, type) and not isinstance(value, kind):
        return _build_dataclass(kind, value, where, closed)
    origin, arguments = get_origin(kind), get_args(kind)
    if kind is Any:
        return value
    if origin is Annotated:
        built = build(arguments[0], value, where, closed=closed)
        for rule in arguments[1:]:
            if isinstance(rule, Rule) and not rule.holds(built):
                raise InputError(f"{where} is {show(value)}; it must be {rule.text}.")
        return built
    if origin is Literal:
        if (type(value), value) not in [(type(word), word) for word in arguments]:
            words = ", ".join(map(repr, arguments))
            raise InputError(f"{where} is {show(value)}; it must be one of {words}.")
        return value
    if origin in (types.UnionType, typing.Union):
        return _build_union(arguments, value, where, closed)
    if origin is tuple and isinstance(value, list | tuple):
        parts = arguments if Ellipsis not in arguments else arguments[:1] * len(value)
        if len(parts) == len(value):
            return tuple(
                build(part, one, where, closed=closed)
                for part, one in zip(parts, value, strict=True)
            )
    elif isinstance(origin, type) and issubclass(origin, Mapping) and isinstance(value, Mapping):
        return types.MappingProxyType(
            {
                build(arguments[0], key, where): build(
                    arguments[1], one, f"{where}.{key}", closed=closed
                )
                for key, one in value.items()
            }
        )
    elif _is_number(kind, value) or (kind in (str, bool) and type(value) is kind):
        return float(value) if kind is float else value
    elif kind in (None, types.NoneType) and value is None:
        return None
    elif isinstance(kind, type) and kind not in (int, float, str, bool) and isinstance(value, kind):
        return value
    raise InputError(f"{where} is {show(value)}, which is no {_name(kind)}.")


def show(value: Any) -> str:
    """Returns a value of a file as a message shows it, cut where it is long."""
    text = repr(value) if not isinstance(value, dict | list | tuple) else _show_nested(value)
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 1]}…"


def _show_nested(value: Any) -> str:
    if len(value) > _SHOWN:
        return f"a {'table' if isinstance(value, dict) else 'list'} of {len(value)}"
    return repr(value)


def _is_number(kind: Any, value: Any) -> bool:
    if kind not in (int, float) or type(value) not in (int, float):
        return False
    if type(value) is int:
        return -_LARGEST <= value < _LARGEST
    return kind is float and math.isfinite(value)


def _build_union(kinds: tuple[Any, ...], value: Any, where: str, closed: str) -> Any:
    refused = None
    for kind in kinds:
        try:
            return build(kind, value, where, closed=closed)
        except InputError as error:
            refused = refused or error
    assert refused is not None
    raise refused


def _build_dataclass(kind: Any, value: Any, where: str, closed: str) -> Any:
    if not isinstance(value, Mapping):
        raise InputError(f"{where} is {show(value)}; it must be a table.")
    hints = get_type_hints(kind, include_extras=True)
    for field in dataclasses.fields(kind):
        defaults = (field.default, field.default_factory)
        required = all(default is dataclasses.MISSING for default in defaults)
        if required and field.name not in value:
            raise InputError(f"{_join(where, field.name)} is missing.")
    if closed and (unknown := [key for key in value if key not in hints]):
        raise InputError(
            f"{_join(where, min(map(str, unknown)))} is no {closed}; it must be one of {', '.join(hints)}."
        )
    return kind(
        **{
            field.name: build(
                hints[field.name], value[field.name], _join(where, field.name), closed=closed
            )
            for field in dataclasses.fields(kind)
            if field.name in value
        }
    )


def _join(where: str, key: str) -> str:
    return f"{where}{key}" if where.endswith(" ") else f"{where}.{key}"


def _name(kind: Any) -> str:
    origin, arguments = get_origin(kind), get_args(kind)
    if origin is tuple:
        return "list" if Ellipsis in arguments else f"list of {len(arguments)}"
    if origin:
        return "table"
    return getattr(kind, "__name__", str(kind))
