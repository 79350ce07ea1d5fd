"""Reads the TOML files of targets, and checks them."""

import dataclasses
import difflib
import functools
import os
import pathlib
from typing import Any

from sesr_jax.errors import InputError
from sesr_jax.schema import build
from sesr_jax.targets.operations import ALIKE, ON_MAC, OPERATORS, PASSES
from sesr_jax.targets.target import (
    Blocks,
    Energy,
    Mac,
    Memory,
    OpRule,
    Stripes,
    Target,
    Vector,
    Winograd,
)
from sesr_jax.untrusted import parse_toml, read_text

_FOLDER = pathlib.Path(__file__).parent
_TABLES = ("mac", "vector", "memory", "stripes", "ops", "energy")
"""The tables of a target's file that hold figures."""


def list_targets() -> tuple[str, ...]:
    """Returns the names of the targets that ship."""
    return tuple(sorted(path.stem for path in _FOLDER.glob("*.toml")))


def find_target(name: str | os.PathLike[str]) -> Target:
    """Returns the target of that name, or the one that a .toml file describes.

    Raises:
      InputError: there is no such target, or its file is wrong.
    """
    path = pathlib.Path(name)
    if path.suffix == ".toml":
        return _load(path)
    if str(name) not in list_targets():
        raise InputError(
            f"unknown target {os.fspath(name)!r}: it must be one of {', '.join(list_targets())}, or a .toml "
            "file."
        )
    return _load_shipped(str(name))


@functools.cache
def _load_shipped(name: str) -> Target:
    return _load(_FOLDER / f"{name}.toml")


def _load(path: pathlib.Path) -> Target:
    table = _read_tables(path, ())
    target: Target = build(
        Target, {"name": path.stem, **table}, f"{path}: ", closed="figure of a target"
    )
    _check_consistency(target, str(path))
    return target


def _read_tables(path: pathlib.Path, before: tuple[pathlib.Path, ...]) -> dict[str, Any]:
    """Returns a file's tables, with what it takes from the file that it is like."""
    table = _read(path)
    _check_sources(table, str(path))
    like = table.pop("like", None)
    if like is None:
        return table
    before = (*before, path.resolve())
    others = [name for name in list_targets() if (_FOLDER / f"{name}.toml").resolve() not in before]
    if like not in others:
        raise InputError(f"{path}: like is {like!r}; it must be one of {', '.join(others)}.")
    return _merge(_read_tables(_FOLDER / f"{like}.toml", before), table)


def _read(path: pathlib.Path) -> dict[str, Any]:
    return parse_toml(read_text(path), f"{path}, which should be a target file,")


def _merge(base: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """Returns `base` with `changes`, table by table; an operation's rule is replaced as a whole."""
    merged = dict(base)
    for key, value in changes.items():
        if isinstance(value, dict) and isinstance(base.get(key), dict):
            merged[key] = base[key] | value
        else:
            merged[key] = value
    return merged


def _check_sources(table: dict[str, Any], file: str) -> None:
    """Checks that the file itself says where its figures come from.

    Raises:
      InputError: it does not say it of one.
    """
    sources = table.get("sources", {})
    for name in _list_figure_names(table):
        parts = name.split(".")
        prefixes = [".".join(parts[:n]) for n in range(len(parts), 0, -1)]
        if not any(prefix in sources for prefix in prefixes):
            raise InputError(
                f'{file}: [sources] does not say where {name} comes from; name it, or write "assumed".'
            )


def _list_figure_names(table: dict[str, Any]) -> list[str]:
    """Returns the dotted names of the figures in a file's tables."""
    names: list[str] = [name for name in ("bits", "untimed_bits", "clock_hz") if name in table]
    for key in _TABLES:
        if isinstance(table.get(key), dict):
            names += [f"{key}.{name}" for name in table[key]]
    return names


def _check_consistency(target: Target, file: str) -> None:
    """Checks that the figures fit each other.

    Raises:
      InputError: they name an operation, a figure or a block that does not exist.
    """
    for name, rule in target.ops.items():
        operation = name.rsplit("_", 1)[0] if name[-1].isdigit() else name
        known = (*OPERATORS.values(), *PASSES, "*")
        near = difflib.get_close_matches(operation, known, n=1, cutoff=0.8)
        if operation not in known and near and operation not in ALIKE:
            raise InputError(f"{file}: ops.{name} is no operation; did you mean {near[0]!r}?")
        if rule.engine == "mac" and operation not in ON_MAC:
            raise InputError(
                f"{file}: ops.{name}.engine is 'mac', which only runs {', '.join(sorted(ON_MAC))}."
            )
        if rule.strided_by and rule.strided_by not in target.ops:
            raise InputError(
                f"{file}: ops.{name}.strided_by is {rule.strided_by!r}; it must be one of "
                f"{', '.join(target.ops)}."
            )
    vector, figures = target.vector, _list_source_names(target)
    if len(vector.calls) != len(vector.blocks) or vector.default_block >= len(vector.blocks):
        raise InputError(
            f"{file}: vector.calls has {len(vector.calls)} numbers and vector.default_block is "
            f"{vector.default_block}; they must fit the {len(vector.blocks)} of vector.blocks."
        )
    if len(target.mac.tap_fill) not in (0, 2):
        raise InputError(
            f"{file}: mac.tap_fill is {list(target.mac.tap_fill)}; it must be empty or two numbers."
        )
    if target.mac.tap_fill and 0 in target.mac.tap_groups:
        raise InputError(
            f"{file}: mac.tap_groups has 0; where mac.tap_fill is given, they must be 1 or more."
        )
    if unknown := target.sources.keys() - figures:
        raise InputError(
            f"{file}: [sources] has {min(unknown)!r}, which is no figure and no table of the target."
        )


def _list_source_names(target: Target) -> set[str]:
    """Returns the dotted names of all that may have a source."""
    found = {"bits", "untimed_bits", "clock_hz", *_TABLES, *(f"ops.{name}" for name in target.ops)}
    for prefix, kind in (
        *(("mac", Mac), ("mac.winograd", Winograd), ("mac.blocks", Blocks), ("vector", Vector)),
        *(("memory", Memory), ("stripes", Stripes), ("energy", Energy)),
        *((f"ops.{name}", OpRule) for name in target.ops),
    ):
        found |= {f"{prefix}.{field.name}" for field in dataclasses.fields(kind)}
    return found
