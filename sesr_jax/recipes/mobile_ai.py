"""The networks of the Mobile AI challenges, RGB and ×3, as their teams report to have trained them.

    sesr train --config abpn_x3 --workdir runs/abpn_x3 --config.data.train=FOLDER
    sesr export --model runs/abpn_x3 --out abpn.tflite --io uint8

Where a recipe has a quantised stage, the variant "qat" is that stage alone. The INT8 files of the other
recipes are calibrated after training, by `sesr export --calibrate FOLDER`. `sesr score` lists what the
challenges measured with the INT8 files.
"""

from typing import Any

import ml_collections

from sesr_jax import train
from sesr_jax.recipes.recipe import make_config, make_recipes


def abpn_x3() -> ml_collections.ConfigDict:
    """ABPN ×3 as MCG trained it (Du et al., CVPR Workshops 2021), quantisation-aware training included.

    L1, Adam at 1e-3, halved every 200 of 1000 epochs of 1000 steps, batch 16 of 64×64; then 200 epochs on
    what the codes compute, from 1e-4, halved every 50. The authors report 30.22 dB in float and 30.15 dB in
    INT8 on DIV2K, on RGB.
    """
    return _make_abpn_config("abpn")


def z6_x3() -> ml_collections.ConfigDict:
    """The winner of Mobile AI & AIM 2022, Z6 ×3, by the recipe of `abpn_x3`; its own is not public."""
    return _make_abpn_config("z6")


def _make_abpn_config(model: str) -> ml_collections.ConfigDict:
    config = make_config(model, 3)
    config.data.update(patch=64, batch=16)
    config.optim.update(name="adam", lr=1e-3, schedule="halving", period=200_000)
    config.steps = 1_000_000
    quantised = {"lr": 1e-4, "period": 50_000}
    config.stages = (train.stage(), train.stage("quantise", steps=200_000, optim=quantised))
    return config


def along_x3() -> ml_collections.ConfigDict:
    """The network of ALONG ×3 as the team trained it (Mobile AI 2021): L1, L2, then on its codes.

    Adam from 2e-4, halved every 200 000 steps, crops of 128×128. The report gives neither the batch (here
    16) nor the parts' lengths (here 600 000, 200 000 and 100 000 steps; the later ones begin where the first
    ends, at 2.5e-5).
    """
    config = make_config("along", 3)
    config.data.update(patch=128, batch=16)
    config.optim.update(name="adam", lr=2e-4, schedule="halving", period=200_000)
    config.steps = 600_000
    fine: dict[str, Any] = {"loss": "l2", "optim": {"lr": 2.5e-5}}
    config.stages = (
        train.stage(),
        train.stage(steps=200_000, **fine),
        train.stage("quantise", steps=100_000, **fine),
    )
    return config


def embededai_x3() -> ml_collections.ConfigDict:
    """The network of EmbededAI ×3 as the team trained it (Mobile AI 2021): identity + 1×1 + 3×3, merged.

    L1, Adam from 5e-4, halved every 200 of 600 epochs, batch 32 of 64×64; an epoch is here 1600 steps, as in
    ECBSR's recipe, whose first author entered it. Its PSNR in the challenge is not known here.
    """
    config = make_config("embededai", 3)
    config.optim.update(name="adam", schedule="halving", period=320_000)
    config.steps = 960_000
    return config


def mju_gogogo_x3() -> ml_collections.ConfigDict:
    """The network of mju_gogogo ×3 as the team trained it (Mobile AI 2021): L1, then L2 on its codes.

    Adam, 750 epochs of L1, then 75 of L2. The report gives neither learning rate, crops, batch nor an
    epoch's length: here those of `abpn_x3`, 1000 steps at 16 of 64×64, at a learning rate of 5e-4, and a
    tenth of it for the second part. Its PSNR in the challenge is not known here.
    """
    config = make_config("mju_gogogo", 3)
    config.data.update(patch=64, batch=16)
    config.optim.name = "adam"
    config.steps = 750_000
    quantised: dict[str, Any] = {"loss": "l2", "optim": {"lr": 5e-5}}
    config.stages = (train.stage(), train.stage("quantise", steps=75_000, **quantised))
    return config


def tinysrnet_x3() -> ml_collections.ConfigDict:
    """TinySRNet ×3 as Noah_TerminalVision trained it (Mobile AI 2021), quantisation-aware training included.

    L1, Adam from 5e-4 to 1e-6 in cycles of 200 000 steps, five of them. The report gives neither crops nor
    batch (here 16 of 64×64), nor the shape of a cycle (a cosine), nor the length of the quantised part (one
    cycle, from 5e-5).
    """
    config = make_config("tinysrnet", 3)
    config.data.update(patch=64, batch=16)
    config.optim.update(name="adam", lr=5e-4, schedule="cyclic", period=200_000, final=0.002)
    config.steps = 1_000_000
    quantised = {"lr": 5e-5, "final": 0.02}
    config.stages = (train.stage(), train.stage("quantise", steps=200_000, optim=quantised))
    return config


def xlsr_x3() -> ml_collections.ConfigDict:
    """XLSR ×3 as Aselsan Research trained it (Ayazoglu, CVPR Workshops 2021): the winner of Mobile AI 2021.

    Charbonnier loss, Adam, crops of 32×32; the learning rate climbs from 5e-5 to 25e-4 in 50 epochs of 100
    steps and falls to 1e-4 until the 5000th. Crops are darkened at random, to 0.7 or 0.5 of their intensity.
    """
    config = make_config("xlsr", 3)
    config.data.update(patch=32, batch=16, intensities=(1.0, 0.7, 0.5))
    config.optim.update(name="adam", lr=25e-4, schedule="linear", warmup=5_000)
    config.optim.update(start=0.02, final=0.04)
    config.update(loss="charbonnier", epsilon=0.1, steps=500_000)
    return config


RECIPES = make_recipes(abpn_x3, along_x3, embededai_x3, mju_gogogo_x3, tinysrnet_x3, xlsr_x3, z6_x3)
"""The recipes by name."""
