"""SESR's recipes: the published one in all sizes, and SESR-M5 in other forms and stages.

The published recipe is L1 and AMSGrad (by the rule of Keras, `train.amsgrad`) at 5e-4, for 300 epochs of 1600
steps at 32 crops of 64×64 (Bhardwaj et al., MLSys 2022); `train.base` holds it. Training for INT8 continues
from float weights:

    sesr train --config sesr_m5_x2:qat --workdir runs/sesr_m5_x2_qat \
        --config.init=runs/sesr_m5_x2/expanded.safetensors --config.data.train=FOLDER
"""

import functools

import ml_collections

from sesr_jax import train
from sesr_jax.models import VARIANTS
from sesr_jax.recipes.recipe import Recipe, make_config, make_recipe, make_recipes


def _make_published(model: str) -> Recipe:
    return make_recipe(
        functools.partial(make_config, model, 2),
        f"{_format_title(model)} ×2 as published (Bhardwaj et al., MLSys 2022): L1, AMSGrad at 5e-4, 300 "
        f"epochs of 1600 steps.\n\nThe paper reports {_format_set14(model, 2)} dB on Set14.",
    )


def _make_hardware(model: str) -> Recipe:
    return make_recipe(
        functools.partial(make_config, f"{model}_hw", 2),
        f"{_format_title(model)} ×2 in its hardware form, ReLU and no input residual, by the published "
        "recipe.\n\nThe paper prints no figure for it, but says that quality does not suffer.",
    )


def _format_title(model: str) -> str:
    return model.upper().replace("_", "-")


def _format_set14(model: str, scale: int) -> str:
    psnr, _ = VARIANTS[model].published[scale]["Set14"]
    return f"{psnr:.2f}"


def sesr_m5_x3() -> ml_collections.ConfigDict:
    """SESR-M5 ×3 by the recipe of ×2; the paper has no ×3."""
    return make_config("sesr_m5", 3)


def _make_times_4() -> ml_collections.ConfigDict:
    config = make_config("sesr_m5", 4)
    config.data.patch = 50
    return config


_TIMES_4 = f"""SESR-M5 ×4 as published: starts from the ×2 with a new last layer, on LR crops of 50×50.

The weights of ×2 are given by --config.init=runs/sesr_m5_x2/expanded.safetensors. The paper reports
{_format_set14("sesr_m5", 4)} dB on Set14."""


def sesr_m5_rgb_x3() -> ml_collections.ConfigDict:
    """SESR-M5 ×3 on RGB with ReLU, by the recipe of ×2: beside the networks of the Mobile AI challenge.

    The paper has no RGB and no ×3; the input residual is then ABPN's anchor.
    """
    return make_config("sesr_m5", 3, channels=3, activation="relu")


def sesr_m5_form_x2() -> ml_collections.ConfigDict:
    """SESR-M5 ×2 with one form in the place of its collapsible linear blocks: here ECB (Zhang et al. 2021).

    --config.model.options.form=kernel_basis chooses another; any name in `reparam.FORMS` does. The short
    residuals are SESR's own and left out; --config.model.options.short_residual=True brings them back. There
    is no published figure: sesr_m5_x2 is what to compare with.
    """
    return make_config("sesr_m5", 2, form="ecb", short_residual=False)


def sesr_m5_acnet_x2() -> ml_collections.ConfigDict:
    """SESR-M5 ×2 with ACNet's asymmetric branches, then fine-tuned as plain 3×3, after AiriA_CG (AIM 2020).

    The branches train as sesr_m5_x2 does, in the same time; then they collapse, and the one kernel that is
    left learns on under L2, at a lower learning rate, on crops of twice the side (AiriA_CG: HR crops of 640,
    a learning rate of 1e-6). The images must hold HR crops of 256. There is no published figure for SESR:
    sesr_m5_x2 is what to compare with. `stages.html` in the run's folder shows what each stage brought.
    """
    config = make_config("sesr_m5", 2, form="acnet")
    fine = {"loss": "l2", "optim": {"lr": 1e-5}, "data": {"patch": 128, "batch": 16}}
    config.stages = (train.stage(), train.stage("collapse", steps=80_000, **fine))
    return config


def sesr_m5_basis_x2() -> ml_collections.ConfigDict:
    """SESR-M5 ×2 trained on kernel bases, as UESTC-MediaLab trained its network (AIM 2020, arXiv:2009.06943).

    Every convolution is a weighted sum of 3 kernels, then of 5, then of 7; one is left after training. The
    report gives neither the number of stages nor their lengths: here they share the 480 000 steps of
    sesr_m5_x2, which take as long as there, for the network that runs is the same. It gives no figure for
    SESR either: sesr_m5_x2 is what to compare with. New kernels enter with weight 0; as published, all
    weights become equal instead, and the function jumps: --config.stages[1].preserve=False
    --config.stages[2].preserve=False. `stages.html` in the run's folder shows what each stage brought.
    """
    config = make_config("sesr_m5", 2, form="kernel_basis")
    config.steps = 160_000
    # A new kernel's moments begin at zero beside the old ones' count: its first steps are large.
    grown = {"added": 2, "preserve": True, "optim": {"warmup": 1_000}}
    config.stages = (train.stage(), *(train.stage("grow_basis", **grown) for _ in range(2)))
    return config


RECIPES = {
    **{
        f"{m}_x2": _make_published(m)
        for m in ("sesr_m3", "sesr_m5", "sesr_m7", "sesr_m11", "sesr_xl")
    },
    **{f"{m}_hw_x2": _make_hardware(m) for m in ("sesr_m3", "sesr_m5", "sesr_m11")},
    "sesr_m5_x4": make_recipe(_make_times_4, _TIMES_4),
    **make_recipes(sesr_m5_x3, sesr_m5_rgb_x3, sesr_m5_form_x2, sesr_m5_acnet_x2, sesr_m5_basis_x2),
}
"""The recipes by name."""
