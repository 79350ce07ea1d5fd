"""The networks of the zoo in small, for tests that run every one of them."""

import jax
import jax.numpy as jnp
import numpy as np

from sesr_jax.models import VARIANTS, create

SIDE = 16
"""The side of an image that every network takes: poolings without padding need 15 pixels."""

_RLFN = {"features": 6, "middle": 4, "blocks": 1, "squeezed": 4}
_SPAN = {"features": 4, "blocks": 2, "form": "dense"}
_OPTIONS = {
    "vdsr": {"features": 4, "layers": 3},
    "drcn": {"features": 4, "recursions": 2},
    "lapsrn": {"features": 4, "layers": 1},
    "btsrn": {"features": 4, "projected": 2, "small_blocks": 1, "large_blocks": 1},
    "memnet": {"features": 4, "blocks": 1, "recursions": 2},
    "carn": {"features": 8},
    "tpsr": {"features": 4},
    "ecbsr": {"form": "dense"},
    "embededai": {"form": "dense"},
    "z6": {"form": "dense"},
    "mju_gogogo": {"modules": 1},
    "msrresnet": {"features": 4, "blocks": 1},
    "imdn": {"features": 32, "blocks": 2},
    "imdn_aim2019": {"features": 8, "blocks": 1, "form": "dense"},
    "fimdn": {"features": 8, "blocks": 1, "form": "dense"},
    "rfdn_aim2020": {"features": 8, "blocks": 2},
    "pan": {"features": 4, "upscaling_features": 4, "blocks": 1},
    "latticenet": {"features": 32, "blocks": 2},
    "uestc_medialab": {"features": 8, "blocks": 1, "form": "dense"},
    "maffsrn": {"features": 8, "groups": 1},
    "rlfn": _RLFN,
    "rlfn_s": _RLFN,
    "rlfn_ntire2022": _RLFN,
    "efdn": {"features": 8, "form": "dense"},
    "span": _SPAN,
    "span_ntire2024": _SPAN,
    "span_tiny": _SPAN,
    "spanv2": {"features": 4, "blocks": 2, "form": "dense"},
    "esrn": {"features": 8, "blocks": "S_1_4_8 G_2_4_8 C_1_4_8"},
    "layered_sesr": {"expansion": 8, "layers": "3x3_4 2x3_4", "tail": "3x2", "clip": True},
    "rrdbnet": {"features": 4, "grow": 2, "blocks": 1, "parts": 1},
    "srvggnet": {"features": 4, "blocks": 1},
}


def small_options(name):
    """The options that make the network `name` small, with plain kernels."""
    if name.startswith("sesr_"):
        return {"expansion": 8, "blocks": 1}
    return _OPTIONS.get(name, _OPTIONS.get(name.split("_")[0], {}))


def randomise(shapes):
    """Random arrays of these shapes: initialisers compile for long, and leave biases at 0."""
    rng = np.random.default_rng(0)

    def draw(parameter):
        size = 2 / np.sqrt(np.prod(parameter.shape[:-1])) if len(parameter.shape) == 4 else 0.1
        return jnp.asarray(rng.normal(size=parameter.shape) * size, jnp.float32)

    return jax.tree.map(draw, shapes)


def small_networks():
    """The (name, scale) of all networks that differ when they are small.

    One of each family that is searched, of the challenges on efficient super-resolution and of Real-ESRGAN is
    enough, at its largest scale. SESR's rivals and SPANV2 are left out: all their layers are in others.
    """
    seen, found = [], []
    for name, variant in VARIANTS.items():
        for scale in variant.scales:
            module = create(name, scale=scale, **small_options(name))
            family = set(type(module).__module__.split("."))
            if {"rivals", "spanv2"} & family:
                continue
            if {"efficient", "real"} & family or name in ("esrn", "layered_sesr"):
                module = type(module)
                scale = variant.scales[-1]
            if module not in seen:
                seen.append(module)
                found.append((name, scale))
    return found
