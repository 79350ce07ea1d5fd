r"""Networks for real photos, trained in two stages as Real-ESRGAN is, on degraded images.

    sesr train --config realesrnet_x4 --workdir runs/net --config.data.train=FOLDER
    sesr train --config realesrgan_x4 --workdir runs/gan --config.data.train=FOLDER \
        --config.init=runs/net --config.adversarial.vgg=vgg19.pth

FOLDER holds sharp images: the originals learned from DF2K and OST. Low resolutions are degraded inside the
step, each crop by draws of its own, so that the original's queue of earlier pairs is not needed. What is
measured while a run trains is PSNR on degraded photos (the protocol `degraded`); it falls when the critic
comes in.
"""

import ml_collections

from sesr_jax.recipes.recipe import Recipe, make_config, make_recipes
from sesr_jax.train import apply_variant


def realesrnet_x4() -> ml_collections.ConfigDict:
    """Real-ESRNet ×4, the first stage of RealESRGAN_x4plus (Wang et al., ICCV Workshops 2021): L1 alone.

    RRDBNet learns sharpened images from degraded ones: Adam at 2e-4 with momenta of 0.9 and 0.99, 48 crops of
    64×64 (12 on each of four GPUs), 10⁶ steps, weights averaged by 0.999. The original starts from weights of
    ESRGAN, which --config.init takes once `sesr import` has read them. It degrades crops of 400×400 and cuts
    256×256 of them, and flips them alone; here all eight symmetries of the square are drawn.
    """
    config = make_config("rrdbnet", 4)
    config.data.update(patch=64, batch=48, degraded=True, sharpened=True)
    config.optim.update(name="adam", lr=2e-4, options={"b1": 0.9, "b2": 0.99})
    config.ema = 0.999
    config.update(steps=1_000_000, steps_per_call=100, eval_every=5_000, checkpoint_every=5_000)
    return config


def realesrgan_x4() -> ml_collections.ConfigDict:
    """Real-ESRGAN ×4, the second stage of RealESRGAN_x4plus: L1, a perceptual loss and a U-Net critic.

    It goes on from the first stage by --config.init=RUN: Adam at 1e-4 for both networks, 400,000 steps. The
    losses have the original's weights, 1 for L1 and for the perceptual loss and 0.1 for the critic, which
    alone sees images that are not sharpened. The perceptual loss needs torchvision's VGG19, which
    --config.adversarial.vgg names (.pth or .safetensors) and which does not ship. The variant "maps" does
    without it: maps of the critic stand in, by a weight of 1 that nobody has tuned.
    """
    config = realesrnet_x4()
    config.trainer = "adversarial"
    config.optim.lr = config.adversarial.lr = 1e-4
    config.steps = 400_000
    return config


def sesr_m11_realesrnet_x4() -> ml_collections.ConfigDict:
    """SESR-M11 ×4 on RGB for real photos, the first stage: the degradations and the loss of Real-ESRNet.

    46,160 parameters after the collapse, in the place of RRDBNet's 16.7 million. Length, batch and learning
    rate are ours and not tuned. --config.model.scale=2 trains ×2.
    """
    config = realesrnet_x4()
    config.model.update(name="sesr_m11", options={"channels": 3})
    config.data.update(patch=48, batch=16)
    config.optim.update(lr=5e-4, schedule="cosine", final=0.1)
    config.steps = 200_000
    return config


def sesr_m11_realesrgan_x4() -> ml_collections.ConfigDict:
    """SESR-M11 ×4 on RGB for real photos, the second stage, against a critic and without a VGG19.

    It goes on from the first stage by --config.init=RUN. The critic has 32 features, a quarter of the
    original's parameters, and its maps stand in for the perceptual loss. Nothing of this is tuned.
    """
    config = apply_variant(sesr_m11_realesrnet_x4(), "maps")
    config.trainer = "adversarial"
    config.adversarial.features = 32
    config.optim.lr = config.adversarial.lr = 1e-4
    config.steps = 100_000
    return config


def _with_small_smoke(recipe: Recipe) -> Recipe:
    """Returns a recipe of RRDBNet whose variant "smoke" takes one small block: all 23 would take minutes."""

    def get_config(variant: str = "paper") -> ml_collections.ConfigDict:
        config = recipe.get_config(variant)
        if "smoke" in variant.split("+"):
            config.model.options.update(features=8, grow=4, blocks=1)
        return config

    return Recipe(about=recipe.about, get_config=get_config)


RECIPES = {
    **{
        name: _with_small_smoke(recipe)
        for name, recipe in make_recipes(realesrnet_x4, realesrgan_x4).items()
    },
    **make_recipes(sesr_m11_realesrnet_x4, sesr_m11_realesrgan_x4),
}
"""The recipes by name."""
