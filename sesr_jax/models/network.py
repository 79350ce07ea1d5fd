"""Networks: a module with its variables, and their files, safetensors that describe themselves.

    network = Network(name="sesr_m5", scale=2, variables=variables)
    save(network.collapse(), "sesr_m5_x2.safetensors")
    y = load("sesr_m5_x2.safetensors").apply(x)

The file holds every array under its path in the tree, as in "params/head/term/kernel". Its metadata hold
as text "format", "version", "model", "scale", "options" (JSON: the fields of the module that differ from
the model's), "scheme" (JSON: what is quantised, if anything) and "structure" (JSON: the tree with its
terms, whose leaves name the arrays). `models.description` adds the axes of every array and a collapsed
network's operations, for readers without this package, and `files.arrays` adds checksums. Nothing is pickled.
"""

import dataclasses
import json
import math
import os
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import numpy as np
from flax import linen as nn

from sesr_jax import __version__, graph, quant, reparam
from sesr_jax.errors import InputError
from sesr_jax.files import (
    find_not_finite,
    read_metadata,
    read_safetensors,
    write_safetensors,
)
from sesr_jax.models.description import describe
from sesr_jax.models.registry import create
from sesr_jax.reparam.linear_conv import check_floats
from sesr_jax.reparam.packing import pack, unpack
from sesr_jax.reparam.terms import is_term
from sesr_jax.schema import build
from sesr_jax.untrusted import parse_json, refuse_damaged

_FORMAT = "1"
_OWN = {"model", "scale", "structure"}
_LARGEST_KERNEL = 1 << 26


@dataclasses.dataclass(frozen=True, kw_only=True)
class Network:
    """A model of the zoo with values for its variables.

    Attributes:
      name: a key of `models.VARIANTS`.
      scale: the scale factor.
      variables: the module's variables, expanded or collapsed.
      options: the module's fields that differ from the variant's.
      scheme: what is quantised, where `variables` has ranges (`quant.RANGES`); the network then computes
        what its INT8 codes compute.
    """

    name: str
    scale: int
    variables: Any
    options: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    scheme: quant.Scheme = quant.INT8

    @property
    def module(self) -> nn.Module:
        """The Flax module."""
        return create(self.name, scale=self.scale, **self.options)

    @property
    def title(self) -> str:
        """Model, scale and options as text for titles."""
        changes = ", ".join(f"{key}={value}" for key, value in self.options.items())
        return f"{self.name} ×{self.scale}" + (f" ({changes})" if changes else "")

    @property
    def channels(self) -> int:
        """The channels of the images: 1 for Y, 3 for RGB."""
        return self.module.channels

    def apply(self, x: jax.Array) -> jax.Array:
        """Upscales ``[N, H, W, C]`` in [0, 1] to ``[N, s·H, s·W, C]``.

        Raises:
          InputError: `x` has another dtype than a floating one.
        """
        check_floats(x)
        return quant.apply(self.module, self.variables, x, self.scheme)

    def collapse(self) -> "Network":
        """Returns a network with collapsed parameters that computes the same function."""
        options = {key: value for key, value in self.options.items() if key != "mode"}
        return dataclasses.replace(
            self, variables=reparam.collapse(self.variables), options=options
        )

    def without_ranges(self) -> "Network":
        """Returns the network with the same weights in float, whether or not it has ranges."""
        kept = {key: value for key, value in self.variables.items() if key != quant.RANGES}
        return dataclasses.replace(self, variables=kept, scheme=quant.INT8)

    def trace(self, input_shape: Sequence[int]) -> graph.Graph:
        """Traces the network's operations for images of that shape."""
        return graph.trace(self.module, self.variables, input_shape)

    @property
    def ranges(self) -> dict[str, quant.Range] | None:
        """The ranges that the network was trained with, by group of tensors; None for a float network."""
        if quant.RANGES not in self.variables:
            return None
        found = self.variables[quant.RANGES]
        return {group: (float(low), float(high)) for group, (low, high) in found.items()}


def init(name: str, *, scale: int, key: jax.Array, **options: Any) -> Network:
    """Returns a network with fresh, expanded parameters.

    Raises:
      InputError: see `models.create`.
    """
    module = create(name, scale=scale, **options)
    side = graph.SAMPLE_SIDE
    variables = module.init(key, jax.numpy.zeros((1, side, side, module.channels)))
    return Network(name=name, scale=scale, variables=variables, options=options)


def save(network: Network, path: str | os.PathLike[str], **facts: str) -> None:
    """Writes `network` to `path` (.safetensors), whole or not at all, with `facts` in its metadata.

    Raises:
      InputError: an option is a function, which a file cannot hold.
    """
    for option, value in network.options.items():
        if callable(value):
            raise InputError(
                f"{network.name}'s option {option} is {value!r}: it must be a name, since files hold no "
                "functions."
            )
    arrays, skeleton = pack(network.variables)
    metadata = {
        "format": _FORMAT,
        "version": __version__,
        "model": network.name,
        "scale": str(network.scale),
        "options": json.dumps(dict(network.options)),
        "scheme": json.dumps(dataclasses.asdict(network.scheme)),
        "structure": json.dumps(skeleton),
        **describe(
            network.module, network.variables, channels=network.channels, scheme=network.scheme
        ),
        **facts,
    }
    write_safetensors(path, arrays, metadata)


def load(path: str | os.PathLike[str]) -> Network:
    """Reads a network from a file that `save` wrote.

    Raises:
      InputError: the file is missing or damaged, or `save` did not write it.
    """
    arrays, metadata = read_safetensors(path)
    if wrong := find_not_finite(arrays):
        raise InputError(f"{path} holds weights that are not finite ({wrong}): all must be finite.")
    if metadata.get("format") != _FORMAT:
        raise InputError(
            f"{path} has the format {metadata.get('format')!r}: this version reads the format {_FORMAT!r} of "
            "sesr_jax."
        )
    what = f"{path}: metadata"
    told = {
        key: parse_json(metadata[key], f"{what}.{key}")
        for key in ("scale", "options", "scheme", "structure")
        if key in metadata
    }
    facts = build(_Metadata, metadata | told, what)
    network = Network(
        name=facts.model,
        scale=facts.scale,
        variables=unpack(arrays, facts.structure),
        options=dict(facts.options),
        scheme=facts.scheme,
    )
    _check_variables(network, path)
    return network


def is_written_here(path: str | os.PathLike[str]) -> bool:
    """Returns whether the metadata of a .safetensors file are of `save`, and not of another project.

    Raises:
      InputError: the file is missing or damaged.
    """
    return bool(_OWN.intersection(read_metadata(path)))


@dataclasses.dataclass(frozen=True)
class _Metadata:
    """What the metadata of a file say of its network."""

    model: str
    scale: int
    options: Mapping[str, Any]
    structure: Mapping[str, Any]
    scheme: quant.Scheme = quant.INT8


def _check_variables(network: Network, path: str | os.PathLike[str]) -> None:
    """Checks, by shapes alone, that the variables are those of the network.

    Raises:
      InputError: they are not.
    """
    side = graph.SAMPLE_SIDE
    images = (1, side, side, network.channels)
    with refuse_damaged(f"{path} does not hold the variables of {network.title}"):
        for term in filter(is_term, jax.tree.leaves(network.variables, is_leaf=is_term)):
            facts = term.facts
            size = math.prod((*facts.reach.kernel_size, facts.in_features, facts.out_features))
            if size > _LARGEST_KERNEL:
                raise InputError(
                    f"{path} holds a {type(term).__name__} that collapses to {size:,} numbers: it must be "
                    f"{_LARGEST_KERNEL:,} or less."
                )
        for group, values in network.variables.get(quant.RANGES, {}).items():
            if values.shape != (2,):
                raise InputError(f"{path} holds a range of {group} of the shape {values.shape}.")
        found = jax.eval_shape(
            lambda variables, x: quant.apply(network.module, variables, x, network.scheme),
            network.variables,
            jax.ShapeDtypeStruct(images, np.float32),
        )
        large = (1, side * network.scale, side * network.scale, network.channels)
        if found.shape != large:
            raise InputError(
                f"{path} holds variables with which {network.title} makes {list(found.shape)} of "
                f"{list(images)}: it must make {list(large)}."
            )
