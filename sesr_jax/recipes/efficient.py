"""The networks of AIM 2020 on efficient super-resolution, RGB and ×4, as their authors trained them.

    sesr train --config rfdn_aim2020_x4 --workdir runs/rfdn --config.data.train=FOLDER
    sesr score --challenge aim2020 --model runs/rfdn --data FOLDER

FOLDER is DF2K, the training images of DIV2K with Flickr2K's. High-resolution crops of 256×256 are crops of
64×64 here. Lengths that are told in epochs are counted in steps, as each recipe says.
"""

import ml_collections

from sesr_jax import train
from sesr_jax.recipes.recipe import make_config, make_recipes


def imdn_x4() -> ml_collections.ConfigDict:
    """IMDN ×4 as its authors trained it (Hui et al., ACM Multimedia 2019): L1, Adam at 2e-4, 10⁶ steps.

    The learning rate is halved every 200 000 steps; a batch is 16 crops of 48×48. The paper reports 28.58 dB
    on Set14, on luma.
    """
    config = make_config("imdn", 4)
    config.data.update(patch=48, batch=16)
    config.optim.update(name="adam", lr=2e-4, schedule="halving", period=200_000)
    config.steps = 1_000_000
    return config


def rfdn_aim2020_x4() -> ml_collections.ConfigDict:
    """RFDN ×4 as NJU_MCG trained the winner of AIM 2020 (arXiv:2009.06943): L1, then L2.

    Adam from 5e-4, halved every 200 of 1000 epochs, batch 64 of 64×64; then L2 from 1e-4. The report gives
    neither an epoch's length (here 1000 steps) nor that of the second part (here a fifth of the first, halved
    every quarter). It states 28.75 dB on the test images of DIV2K, on RGB.
    """
    config = make_config("rfdn_aim2020", 4)
    config.data.update(patch=64, batch=64)
    config.optim.update(name="adam", lr=5e-4, schedule="halving", period=200_000)
    config.steps = 1_000_000
    fine = {"lr": 1e-4, "period": 50_000}
    config.stages = (train.stage(), train.stage(steps=200_000, loss="l2", optim=fine))
    return config


def fimdn_x4() -> ml_collections.ConfigDict:
    """FIMDN ×4 as AiriA_CG trained it (AIM 2020): asymmetric kernels in three steps, then plain ones.

    L1 at 2e-4, batch 64 of 64×64, halved every 3600 of 18 000 epochs; L2 at 1e-5, 24 of 160×160, for 600
    (halved every 720, so never); L2 at 1e-6, 4 of 160×160, halved every 400 of 2000. Then the kernels
    collapse, and L2 at 1e-6 fine-tunes the plain network, 24 of 160×160, halved every 200 of 1000 epochs, on
    DIV2K alone: --config.stages[3].data.train=FOLDER. An epoch is a pass over the images, of which DF2K has
    3450 and DIV2K 800. The report (arXiv:2009.06943) states 28.70 dB on the test images of DIV2K, on RGB. The
    images must hold HR crops of 640.
    """
    config = make_config("fimdn", 4)
    config.data.update(patch=64, batch=64)
    config.optim.update(name="adam", lr=2e-4, schedule="halving", period=194_400)
    config.steps = 972_000
    large = {"patch": 160, "batch": 24}
    config.stages = (
        train.stage(),
        train.stage(steps=86_400, loss="l2", optim={"lr": 1e-5, "period": 103_680}, data=large),
        train.stage(
            steps=1_726_000,
            loss="l2",
            optim={"lr": 1e-6, "period": 345_200},
            data={"patch": 160, "batch": 4},
        ),
        train.stage(
            "collapse",
            steps=34_000,
            loss="l2",
            optim={"lr": 1e-6, "period": 6_800},
            data={**large, "train": "embedded:train"},
        ),
    )
    return config


def pan_x4() -> ml_collections.ConfigDict:
    """PAN ×4 as XPixel trained it (Zhao et al., ECCV Workshops 2020): L1, a cosine anew every 250 000 steps.

    Adam from 7e-4 to 1e-7 with momenta of 0.9 and 0.99, batch 32 of 64×64, 10⁶ steps. The authors' log has
    28.61 dB on Set14, on luma.
    """
    config = make_config("pan", 4)
    config.data.update(patch=64, batch=32)
    config.optim.update(name="adam", lr=7e-4, options={"b1": 0.9, "b2": 0.99})
    config.optim.update(schedule="cyclic", period=250_000, final=1e-7 / 7e-4)
    config.steps = 1_000_000
    return config


def uestc_medialab_x4() -> ml_collections.ConfigDict:
    """UESTC-MediaLab's network ×4, reconstructed, on kernel bases that grow from 3 to 5 to 7 (AIM 2020).

    The report (arXiv:2009.06943) gives neither the number of stages nor their lengths, nor crops and learning
    rates: here three stages share the 10⁶ steps of `imdn_x4`, whose blocks the network has. New kernels
    enter with weight 0; as published, all weights become equal instead: --config.stages[1].preserve=False
    --config.stages[2].preserve=False. It states 28.70 dB on the test images of DIV2K, on RGB. `stages.html`
    in the run's folder shows what each stage brought.
    """
    config = imdn_x4()
    config.model.name = "uestc_medialab"
    config.steps = 333_000
    config.optim.period = 67_000
    # A new kernel's moments begin at zero beside the old ones' count: its first steps are large.
    grown = {"added": 2, "preserve": True, "optim": {"warmup": 1_000}}
    config.stages = (train.stage(), *(train.stage("grow_basis", **grown) for _ in range(2)))
    return config


RECIPES = make_recipes(imdn_x4, rfdn_aim2020_x4, fimdn_x4, pan_x4, uestc_medialab_x4)
"""The recipes by name."""
