"""Recognises which network a file of foreign weights holds, by its names and shapes."""

import os
import pathlib
import re

from sesr_jax.errors import InputError
from sesr_jax.importers import efficient, real
from sesr_jax.importers.arrays import Arrays, Misfit, join_names, read_arrays
from sesr_jax.importers.layouts import Layout, list_layers
from sesr_jax.models import create
from sesr_jax.models.network import Network

LAYOUTS = efficient.LAYOUTS | real.LAYOUTS
"""All layouts by the word for ``sesr import --from``."""

_CRITIC = {"conv0.weight", "conv1.weight_orig", "conv9.weight"}
"""Arrays of Real-ESRGAN's discriminator alone."""

_NEAR = 0.2
"""The share of equal layers above which an error names a family."""


def recognise_network(
    path: str | os.PathLike[str],
    *,
    source: str | None = None,
    model: str | None = None,
    scale: int | None = None,
) -> Network:
    """Returns the collapsed network that a file holds.

    Args:
      path: the file; `read_arrays` lists the kinds.
      source: the key in `LAYOUTS` of the project that wrote the file; by default it is found.
      model: the model that it must be, where given.
      scale: the scale factor; it is needed where the shapes allow several and the file's name has none, as in
        "PANx2".

    Raises:
      InputError: the file can't be read, holds no network that is known here, or another one than was named.
    """
    arrays = read_arrays(path)
    key = source or _find_layout(path, arrays)
    layout = LAYOUTS[key]
    try:
        _check_layers(layout, arrays)
        found = layout.read(arrays)
        chosen = _choose_scale(path, found.scales, scale)
        name, options = layout.choose_model(found, chosen)
        if model not in (None, name):
            raise InputError(f"{path} holds {name} by its names and shapes, not {model}.")
        module = create(name, scale=chosen, **options)
        plain = module.clone(form=layout.form) if hasattr(module, "form") else module
        params = layout.convert(arrays, plain)
    except Misfit as misfit:
        raise InputError(
            f"{path} holds no whole network of {key} ({misfit}): it must be as {layout.project} writes it."
        ) from misfit
    except InputError as error:
        if str(error).startswith(str(path)):
            raise
        raise InputError(f"{path}: {error}") from error
    return Network(name=name, scale=chosen, variables={"params": params}, options=options)


def _find_layout(path: str | os.PathLike[str], arrays: Arrays) -> str:
    """Returns the key of the layout with the layers of `arrays`, or with most of them."""
    shares = {key: _compare(layout, arrays) for key, layout in LAYOUTS.items()}
    best = max(shares, key=lambda key: shares[key])
    if shares[best] > 0.9:
        return best
    if arrays.keys() >= _CRITIC:
        raise InputError(
            f"{path} holds a discriminator, which judges images in training: it must hold a network that "
            "upscales."
        )
    near = [
        key for key, share in sorted(shares.items(), key=lambda pair: -pair[1]) if share > _NEAR
    ]
    shown = ", ".join(f"{name} {list(array.shape)}" for name, array in list(arrays.items())[:3])
    raise InputError(
        f"{path} holds no known network: the first of its {len(arrays)} arrays are {shown}, which "
        f"{'come near ' + ' and '.join(near[:2]) if near else 'come near none'} of {', '.join(LAYOUTS)}."
    )


def _compare(layout: Layout, arrays: Arrays) -> float:
    """Returns the share of layers that the layout and the file have in common."""
    names = list_layers(arrays)
    wanted = layout.list_names(names)
    return len(wanted & names.keys()) / len(wanted | names.keys())


def _check_layers(layout: Layout, arrays: Arrays) -> None:
    """Checks that the file has the layers of the layout and no other.

    Raises:
      Misfit: some are missing or surplus.
    """
    names = list_layers(arrays)
    wanted = layout.list_names(names)
    missing, surplus = sorted(wanted - names.keys()), sorted(names.keys() - wanted)
    problems = [
        f"{word} {join_names(layers)}"
        for word, layers in (("without", missing), ("with", surplus))
        if layers
    ]
    if problems:
        raise Misfit(", ".join(problems))


def _choose_scale(path: str | os.PathLike[str], scales: tuple[int, ...], wanted: int | None) -> int:
    """Returns the scale factor, out of those that the shapes allow."""
    named = re.search(r"x([234])(?!\d)", pathlib.Path(path).stem, re.IGNORECASE)
    if len(scales) > 1 and wanted is None and named:
        wanted = int(named[1])
    allowed = " or ".join(f"×{scale}" for scale in scales)
    if wanted is None and len(scales) > 1:
        raise InputError(
            f"{path} would have the same shapes at {allowed}: the scale factor must be told, by sesr import "
            "--scale or in the file's name, as in x2."
        )
    if wanted is not None and wanted not in scales:
        raise InputError(f"{path} upscales by {allowed}, not ×{wanted}.")
    return scales[0] if wanted is None else wanted
