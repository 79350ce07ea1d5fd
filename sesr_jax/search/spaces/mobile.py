"""The space of plain INT8 networks at ×3 on RGB, for the NPU of the Mobile AI challenges.

It is around ABPN (Du et al., CVPR Workshops 2021), with which the first population begins: 3×3s with ReLU,
the repeated input added before the pixels are moved, and a clip.
"""

from collections.abc import Mapping
from typing import Any

from sesr_jax.errors import InputError
from sesr_jax.models.layered_sesr import count_parameters, parse_kernel
from sesr_jax.search.space import Gene, Letter, Space, Values

_EXPANDED = 27


def make_space(
    *,
    depth: int = 7,
    min_depth: int = 2,
    widths: tuple[int, ...] = (12, 16, 20, 24, 28, 32, 48),
    kernels: tuple[str, ...] = ("1x1", "3x3"),
    forms: tuple[str, ...] = ("dense", "collapsible"),
) -> Space:
    """Returns the space.

    Args:
      depth: the most layers between the first and the last.
      min_depth: the fewest of them.
      widths: the numbers of channels; those of an output pixel's block, 27, always belong to them.
      kernels: the kernels between, as height x width.
      forms: the forms in which the layers are trained, names in `reparam.FORMS`.

    Raises:
      InputError: a list is empty, or a kernel is none.
    """
    if not (widths and kernels and forms):
        raise InputError(
            f"widths is {widths}, kernels {kernels} and forms {forms}: a space needs one or more of each."
        )
    for text in kernels:
        parse_kernel(text)
    values = tuple(map(str, dict.fromkeys((*widths, _EXPANDED))))
    width, kernel = Letter(values=values), Letter(values=tuple(kernels))
    layer = Gene(letters=(kernel, width), optional=True)
    whole = Gene(
        letters=(kernel, Letter(values=("anchor", "none")), Letter(values=tuple(forms))),
    )
    seeds: tuple[str, ...] = ()
    if {"28"} <= set(values) and "3x3" in kernels and "dense" in forms and depth >= 5:
        square, own = kernels.index("3x3"), values.index("28")
        last = values.index(str(_EXPANDED))
        layers = [f"{int(i < 5)}.{square}.{own if i < 4 else last}" for i in range(depth)]
        seeds = (" ".join([f"1.{own}", *layers, f"1.{square}.0.{forms.index('dense')}"]),)
    return Space(
        model="layered_sesr",
        scales=(3,),
        genes=(Gene(letters=(width,)), *(layer,) * depth, whole),
        min_active=min_depth + 2,
        express=_express,
        options={
            "channels": 3,
            "expansion": 64,
            "activation": "relu",
            "head_activation": True,
            "short_residual": False,
            "long_residual": False,
            "centre": 0.0,
            "clip": True,
        },
        count_parameters=_count_parameters,
        seeds=seeds,
    )


def _express(values: Values) -> Mapping[str, Any]:
    first, *layers, whole = values
    assert first is not None
    assert whole is not None
    tail, residual, form = whole
    names = [f"3x3_{first[0]}", *("_".join(gene) for gene in layers if gene)]
    return {
        "layers": " ".join(names),
        "tail": tail,
        "input_residual": residual == "anchor",
        "form": form,
    }


def _count_parameters(options: Mapping[str, Any], scale: int) -> int:
    return count_parameters(
        options["layers"], options["tail"], scale=scale, channels=options["channels"]
    )
