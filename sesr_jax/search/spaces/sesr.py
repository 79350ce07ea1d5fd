"""The space around SESR: depth, width and kernel of each layer, and how the whole is put together.

Kernels may be even and asymmetric, as in the search of SESR's paper (Bhardwaj et al., MLSys 2022). The first
population begins with SESR-M5 in its hardware form.
"""

import functools
from collections.abc import Mapping
from typing import Any

from sesr_jax.errors import InputError
from sesr_jax.models.layered_sesr import count_parameters, parse_kernel
from sesr_jax.search.space import Gene, Letter, Space, Values

_YES_NO = ("yes", "no")


def make_space(
    *,
    depth: int = 8,
    min_depth: int = 1,
    widths: tuple[int, ...] = (8, 12, 16, 20, 24, 32),
    kernels: tuple[str, ...] = ("1x1", "1x3", "2x2", "2x3", "3x1", "3x2", "3x3"),
    ends: tuple[str, ...] = ("3x3", "4x4", "5x5"),
    activations: tuple[str, ...] = ("relu", "prelu"),
    forms: tuple[str, ...] = ("collapsible", "dense"),
    input_residual: tuple[str, ...] = ("no", "yes"),
) -> Space:
    """Returns the space.

    Args:
      depth: the most layers between the first and the last.
      min_depth: the fewest of them.
      widths: the numbers of channels.
      kernels: the kernels between, as height x width.
      ends: the kernels of the first and of the last layer.
      activations: the activations.
      forms: the forms in which the layers are trained, names in `reparam.FORMS`.
      input_residual: whether the input is added to the output, "no" and "yes".

    Raises:
      InputError: a list is empty, or a kernel is none.
    """
    lists = {
        "widths": tuple(map(str, widths)),
        "kernels": kernels,
        "ends": ends,
        "activations": activations,
        "forms": forms,
        "input_residual": input_residual,
    }
    for name, values in lists.items():
        if not values:
            raise InputError(f"{name} is empty: a space needs one or more of each.")
    for kernel in (*kernels, *ends):
        parse_kernel(kernel)
    width = Letter(values=lists["widths"])
    first = Gene(letters=(Letter(values=tuple(ends)), width))
    layer = Gene(letters=(Letter(values=tuple(kernels)), width), optional=True)
    whole = Gene(
        letters=(
            Letter(values=tuple(ends)),
            Letter(values=tuple(activations)),
            Letter(values=_YES_NO),
            Letter(values=_YES_NO),
            Letter(values=tuple(input_residual)),
            Letter(values=tuple(forms)),
        )
    )
    return Space(
        model="layered_sesr",
        scales=(2, 3, 4),
        genes=(first, *(layer,) * depth, whole),
        min_active=min_depth + 2,
        express=_express,
        options={"expansion": 64},
        count_parameters=_count_parameters,
        seeds=_seed(depth, lists),
    )


def _express(values: Values) -> Mapping[str, Any]:
    *layers, whole = values
    assert whole is not None
    tail, activation, short, long, image, form = whole
    return {
        "layers": " ".join("_".join(gene) for gene in layers if gene),
        "tail": tail,
        "activation": activation,
        "short_residual": short == "yes",
        "long_residual": long == "yes",
        "input_residual": image == "yes",
        "form": form,
    }


def _seed(depth: int, lists: Mapping[str, tuple[str, ...]]) -> tuple[str, ...]:
    """Returns SESR-M5 in its hardware form, where the space holds it."""
    try:
        width, end = lists["widths"].index("16"), lists["ends"].index("5x5")
        kernel, relu = lists["kernels"].index("3x3"), lists["activations"].index("relu")
        image, form = lists["input_residual"].index("no"), lists["forms"].index("collapsible")
    except ValueError:
        return ()
    if depth < 5:
        return ()
    layers = [f"{int(i < 5)}.{kernel}.{width}" for i in range(depth)]
    return (" ".join([f"1.{end}.{width}", *layers, f"1.{end}.{relu}.0.0.{image}.{form}"]),)


@functools.lru_cache(maxsize=4096)
def _count(layers: str, tail: str, activation: str, scale: int, channels: int) -> int:
    return count_parameters(layers, tail, activation=activation, scale=scale, channels=channels)


def _count_parameters(options: Mapping[str, Any], scale: int) -> int:
    channels = options.get("channels", 1)
    return _count(options["layers"], options["tail"], options["activation"], scale, channels)
