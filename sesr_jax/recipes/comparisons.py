"""Comparisons: several networks, or several forms of one network, with one recipe of one length."""

import inspect
from typing import Any

import ml_collections

from sesr_jax import train
from sesr_jax.errors import InputError
from sesr_jax.recipes.recipe import Recipe, make_config
from sesr_jax.reparam import FORMS
from sesr_jax.train.ablation import base_ablation


def forms(variant: str = "paper") -> ml_collections.ConfigDict:
    """SESR-M5 ×2 with every form of the table: what a convolution trains as, all else equal.

        sesr ablate --config forms --workdir runs/forms --config.data.train=FOLDER

    A tenth of the published training, 5 seeds per form. Variants:
    "cpu" is a short training on embedded photos, a minute or a few per form on two cores but for "orepa",
    which takes more than half an hour; experiments/ablations has its table. "smoke" is a few steps of two
    forms.

    "dense" is the plain network ("VGG" in the paper's comparison), "collapsible" without short residuals is
    an ExpandNet of SESR's block, "collapsible+residual" is SESR. Forms with an identity of their own, such as
    "repvgg", stand without a second one.
    """
    config = base_ablation()
    config.model.update(name="sesr_m5", scale=2)
    config.conditions = ("collapsible+residual", "dense+residual", *FORMS)
    if variant == "paper":
        config.seeds = 5
        config.update(steps=48_000)
    elif variant == "cpu":
        config.data.update(patch=24, batch=8)
        config.optim.update(lr=1e-3, schedule="cosine")
        config.update(steps=1500, steps_per_call=50, eval_every=1500, checkpoint_every=1500)
    elif variant == "smoke":
        config.seeds = 2
        config.conditions = ("dense", "collapsible+residual")
        config.data.update(patch=16, batch=4)
        config.update(steps=4, steps_per_call=2, eval_every=4, checkpoint_every=2)
    else:
        raise InputError(f"unknown variant {variant!r}: it must be one of paper, cpu, smoke.")
    return config


def mobile_ai_equal(variant: str = "") -> ml_collections.ConfigDict:
    r"""The networks of the Mobile AI challenges by one recipe of one length, to be compared; RGB, ×3.

        for model in xlsr abpn tinysrnet along embededai mju_gogogo z6 sesr_m5 \
                quicksrnet_small quicksrnet_medium quicksrnet_large; do
            sesr train --config mobile_ai_equal:$model --workdir runs/$model --config.data.train=FOLDER
            sesr train --config mobile_ai_equal:$model+qat --workdir runs/${model}_qat \
                --config.data.train=FOLDER --config.init=runs/$model/expanded.safetensors --config.steps=2000
        done
        sesr compare --model runs/xlsr --qat runs/xlsr_qat --model runs/abpn --qat runs/abpn_qat … \
            --data Set5 --data Set14 --data B100 --calibrate FOLDER --out runs/mobile_ai

    "abpn.image", "abpn.feature" and "abpn.none" are ABPN with another residual: the authors (Du et al., CVPR
    Workshops 2021) lose 1.93 dB to INT8 without one, 0.78 dB with that of features and 0.13 dB with one of
    the image.

    20,000 steps of 8 crops of 24×24: L1, Adam, 1e-3 behind a warm-up and falling to zero by a cosine,
    averaged weights. With the second config's steps four to ten minutes per network on one core,
    QuickSRNet-Large 38. It is not how the teams trained, which their own recipes follow. The results are in
    experiments/mobile_ai.
    """
    model, _, variant = variant.partition("+")
    model, _, residual = model.partition(".")
    if not model:
        raise InputError(
            "mobile_ai_equal trains one network of several: its variant must name it, as in "
            "mobile_ai_equal:xlsr."
        )
    config = make_config(model, 3)
    if model.startswith("sesr"):
        config.model.options.update(channels=3, activation="relu")
    if residual:
        config.model.options.residual = residual
    return _shorten_for_all(config, variant)


FOUND: dict[str, dict[str, Any]] = {
    "faster": {
        "layers": "3x3_12 2x2_16 3x3_32 3x3_32",
        "tail": "3x3",
        "long_residual": False,
    },
    "level": {
        "layers": "3x3_12 2x2_16 1x3_20 3x3_32 3x3_32",
        "tail": "3x3",
        "long_residual": False,
    },
}
"""By name: the options of `layered_sesr` that searches found for Ethos-N78; see experiments/search."""


def search_equal(variant: str = "") -> ml_collections.ConfigDict:
    r"""What searches found for Ethos-N78 and SESR-M5's hardware form by one recipe, to be compared; luma, ×2.

        sesr train --config search_equal:faster --workdir runs/faster --config.data.train=FOLDER
        sesr train --config search_equal:faster+qat --workdir runs/faster_qat --config.data.train=FOLDER \
            --config.init=runs/faster --config.steps=2000

    The variant names the network: "sesr_m5_hw" or another of the zoo, "faster", or "level", which is about as
    fast as SESR-M5's hardware form. The recipe is that of `mobile_ai_equal`. `benchmarks.found_networks`
    trains by it with several seeds; the results are in experiments/search.
    """
    name, _, variant = variant.partition("+")
    if not name:
        raise InputError(
            "search_equal trains one network of several: its variant must name it, as in "
            "search_equal:faster."
        )
    config = (
        make_config("layered_sesr", 2, **FOUND[name]) if name in FOUND else make_config(name, 2)
    )
    return _shorten_for_all(config, variant)


def _shorten_for_all(config: ml_collections.ConfigDict, variant: str) -> ml_collections.ConfigDict:
    """Takes a training that any small network does in minutes on one core, and then `variant`."""
    config.optim.name = "adam"
    train.apply_variant(config, "cpu")
    config.data.update(patch=24, batch=8)
    config.optim.warmup = 1_000  # without it, ABPN's last rectifiers die at once
    config.update(steps=20_000, eval_every=10_000, checkpoint_every=2_500)
    return train.apply_variant(config, variant) if variant else config


COMPARISONS = {
    make.__name__: Recipe(about=inspect.getdoc(make) or "", get_config=make)
    for make in (forms, mobile_ai_equal, search_equal)
}
"""The comparisons by name."""
