"""The zoo: every network by name, with what its paper published.

    network = create("sesr_m5", scale=2)

A new variant is one row of `VARIANTS`. Parameters and MACs are never typed in here: `graph.cost`
counts them on the traced network, and the tests hold the count against the papers' formulas.
"""

import dataclasses
import functools
import typing
from collections.abc import Callable, Mapping
from typing import Any

from flax import linen as nn

from sesr_jax.errors import InputError, look_up
from sesr_jax.models.abpn import ABPN
from sesr_jax.models.along import ALONG
from sesr_jax.models.ecbsr import ECBSR
from sesr_jax.models.embededai import EmbededAI
from sesr_jax.models.fsrcnn import FSRCNN
from sesr_jax.models.mju_gogogo import MjuGogogo
from sesr_jax.models.published import Quality, published
from sesr_jax.models.quicksrnet import QuickSRNet
from sesr_jax.models.sesr import SESR
from sesr_jax.models.tinysrnet import TinySRNet
from sesr_jax.models.xlsr import XLSR
from sesr_jax.models.z6 import Z6
from sesr_jax.reparam import find_form

_SESR = "Bhardwaj et al., Collapsible Linear Blocks, MLSys 2022, Table 1"
_ECBSR = "Zhang et al., Edge-oriented Convolution Block, ACM Multimedia 2021"
_MAI21 = "Ignatov et al., Mobile AI 2021 Challenge: Report, arXiv:2105.07825"
_QUICK = "Berger et al., QuickSRNet, CVPR Workshops 2023"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Variant:
    """One published network.

    Attributes:
      build: makes the Flax module; takes `scale` and the module's own options.
      scales: the upscaling factors that it can take.
      paper: where it and its figures were published.
      published: by scale and dataset, the paper's own PSNR and SSIM.
    """

    build: Callable[..., nn.Module]
    scales: tuple[int, ...]
    paper: str
    published: Mapping[int, Mapping[str, Quality]] = dataclasses.field(default_factory=dict)


def _sesr(name: str, features: int, blocks: int, expansion: int) -> Variant:
    build = functools.partial(SESR, features=features, blocks=blocks, expansion=expansion)
    return Variant(build=build, scales=(2, 3, 4), paper=_SESR, published=published(name))


def _hardware(variant: Variant) -> Variant:
    """SESR's hardware-friendly form, ReLU and no input residual; the paper prints no figures for it."""
    build = functools.partial(variant.build, activation="relu", input_residual=False)
    return dataclasses.replace(variant, build=build, published={})


def _ecbsr(features: int, blocks: int) -> Variant:
    build = functools.partial(ECBSR, features=features, blocks=blocks)
    return Variant(build=build, scales=(2, 3, 4), paper=_ECBSR)


def _challenge(build: Callable[..., nn.Module], paper: str = _MAI21, **fields: Any) -> Variant:
    """A network of the Mobile AI challenges: RGB, at their one scale."""
    return Variant(build=functools.partial(build, **fields), scales=(3,), paper=paper)


_SIZES = {
    "sesr_m3": _sesr("sesr_m3", features=16, blocks=3, expansion=256),
    "sesr_m5": _sesr("sesr_m5", features=16, blocks=5, expansion=256),
    "sesr_m7": _sesr("sesr_m7", features=16, blocks=7, expansion=256),
    "sesr_m11": _sesr("sesr_m11", features=16, blocks=11, expansion=64),
    "sesr_xl": _sesr("sesr_xl", features=32, blocks=11, expansion=64),
}

VARIANTS: dict[str, Variant] = {
    **_SIZES,
    **{f"{name}_hw": _hardware(variant) for name, variant in _SIZES.items()},
    "ecbsr_m4c8": _ecbsr(features=8, blocks=4),
    "ecbsr_m4c16": _ecbsr(features=16, blocks=4),
    "ecbsr_m10c32": _ecbsr(features=32, blocks=10),
    "ecbsr_m16c64": _ecbsr(features=64, blocks=16),
    "fsrcnn": Variant(
        build=FSRCNN,
        scales=(2, 3, 4),
        paper="Dong et al., Accelerating the SRCNN, ECCV 2016, as printed in SESR's Table 1",
        published=published("fsrcnn"),
    ),
    "xlsr": _challenge(XLSR, "Ayazoglu, XLSR, CVPR Workshops 2021"),
    "abpn": _challenge(ABPN, "Du et al., Anchor-based Plain Net, CVPR Workshops 2021"),
    "tinysrnet": _challenge(TinySRNet),
    "along": _challenge(ALONG),
    "embededai": _challenge(EmbededAI),
    "mju_gogogo": _challenge(MjuGogogo),
    "z6": _challenge(
        Z6, "Ignatov et al., Mobile AI & AIM 2022 Challenge: Report, arXiv:2211.05910"
    ),
    "quicksrnet_small": _challenge(QuickSRNet, _QUICK),
    "quicksrnet_medium": _challenge(QuickSRNet, _QUICK, blocks=5),
    "quicksrnet_large": _challenge(QuickSRNet, _QUICK, features=64, blocks=11, input_residual=True),
}


def create(name: str, *, scale: int, **options: Any) -> nn.Module:
    """The network `name` for `scale`; `options` override its module's fields.

    Raises:
      InputError: the name or an option is unknown, or the network has no such scale.
    """
    variant = look_up("model", name, VARIANTS)
    if scale not in variant.scales:
        raise InputError(
            f"{name} cannot upscale ×{scale}: it takes ×{', ×'.join(map(str, variant.scales))}; "
            "choose one of these scales."
        )
    try:
        module = variant.build(scale=scale, **options)
    except TypeError as error:
        raise InputError(
            f"{name} does not take the options {sorted(options)}: {error}; remove the wrong one."
        ) from error
    _check(name, module, options)
    return module


def _check(name: str, module: nn.Module, options: Mapping[str, Any]) -> None:
    """Raises InputError where an option's value is none of its field's."""
    kinds = typing.get_type_hints(type(module))
    if getattr(module, "channels", 1) not in (1, 3):
        raise InputError(
            f"{name}'s option channels is {options['channels']}: it must be 1 (Y) or 3 (RGB); choose one."
        )
    for option, value in options.items():
        least = 0 if option == "blocks" else 1
        if kinds[option] is int and (type(value) is not int or value < least):
            raise InputError(
                f"{name}'s option {option} is {value!r}: it must be a whole number from {least} on; "
                "choose one."
            )
        if kinds[option] is float and type(value) not in (int, float):
            raise InputError(
                f"{name}'s option {option} is {value!r}: it must be a number; choose one."
            )
        if kinds[option] is bool and type(value) is not bool:
            raise InputError(
                f"{name}'s option {option} is {value!r}: it must be True or False; choose one."
            )
        if option == "form":
            find_form(value)
        choices = typing.get_args(kinds[option])
        if typing.get_origin(kinds[option]) is typing.Literal and value not in choices:
            raise InputError(
                f"{name}'s option {option} is {value!r}: it must be one of {', '.join(choices)}; choose one."
            )
