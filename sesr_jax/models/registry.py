"""The zoo: every network by name, gathered from the families' files.

    module = create("sesr_m5", scale=2)

A new family is a file with `VARIANTS` and a place in `_FAMILIES`. Nobody types in parameters and MACs:
`graph.count_cost` counts them on the traced network, and tests compare the counts with the papers' formulas.
"""

import typing
from collections.abc import Mapping
from typing import Any

from flax import linen as nn

from sesr_jax.errors import InputError, look_up
from sesr_jax.models import (
    ecbsr,
    efficient,
    esrn,
    fsrcnn,
    layered_sesr,
    mobile_ai,
    quicksrnet,
    real,
    rivals,
    sesr,
)
from sesr_jax.models.variant import AtLeast, FormOption, Variant
from sesr_jax.reparam import find_form

_FAMILIES = (
    sesr,
    layered_sesr,
    ecbsr,
    fsrcnn,
    *rivals.FAMILIES,
    *mobile_ai.FAMILIES,
    quicksrnet,
    *efficient.FAMILIES,
    esrn,
    *real.FAMILIES,
)

VARIANTS: Mapping[str, Variant] = {
    name: variant for family in _FAMILIES for name, variant in family.VARIANTS.items()
}
"""Every network by name."""


_FIELDS_OF_FLAX = {"name", "parent"}
_MOST = 1024
"""The largest integer of an option: a network of more layers or channels is none that trains."""


def create(name: str, *, scale: int, **options: Any) -> nn.Module:
    """Returns the network `name` for `scale`, a `variant.UpscalingModule`; `options` override its fields.

    Raises:
      InputError: the name or an option is unknown, or the network has no such scale.
    """
    variant = look_up("model", name, VARIANTS)
    if scale not in variant.scales:
        raise InputError(
            f"{name} cannot upscale ×{scale}: it takes ×{', ×'.join(map(str, variant.scales))}."
        )
    if hidden := _FIELDS_OF_FLAX.intersection(options):
        raise InputError(f"{name} does not take the option {min(hidden)}, which Flax sets.")
    try:
        module: Any = variant.build(scale=scale, **options)
    except TypeError as error:
        raise InputError(f"{name} does not take the options {sorted(options)}: {error}.") from error
    kinds = typing.get_type_hints(type(module), include_extras=True)
    for option, value in options.items():
        _check_value(f"{name}'s option {option} is {value!r}", kinds[option], value)
    return module


def _check_value(claim: str, kind: Any, value: Any) -> None:
    """Raises an InputError that begins with `claim` where a field of type `kind` cannot take `value`."""
    if kind == FormOption:
        find_form(value)
        return
    least = 1
    if typing.get_origin(kind) is typing.Annotated:
        kind, *notes = typing.get_args(kind)
        (least,) = (note.value for note in notes if isinstance(note, AtLeast))
    if typing.get_origin(kind) is typing.Literal:
        choices = typing.get_args(kind)
        if not any(type(value) is type(choice) and value == choice for choice in choices):
            raise InputError(f"{claim}: it must be one of {', '.join(map(str, choices))}.")
    if kind is int and (type(value) is not int or not least <= value <= _MOST):
        raise InputError(f"{claim}: it must be an integer from {least} to {_MOST}.")
    if kind is float and (type(value) not in (int, float) or not abs(value) < _MOST):
        raise InputError(f"{claim}: it must be a number between -{_MOST} and {_MOST}.")
    if kind is bool and type(value) is not bool:
        raise InputError(f"{claim}: it must be True or False.")
