"""Searches: how spaces of networks are searched by evolution; `sesr search` runs them."""

import inspect

import ml_collections

from sesr_jax import train
from sesr_jax.errors import InputError
from sesr_jax.recipes.recipe import Recipe
from sesr_jax.search import base_search


def esr_ea_x2(variant: str = "paper") -> ml_collections.ConfigDict:
    """ESR-EA ×2: the space of ESRN with 315,000 to 325,000 parameters (Song et al., AAAI 2020).

        sesr search --config esr_ea_x2 --workdir runs/esr_ea_x2 --config.data.train=FOLDER

    The settings are those of the authors' configuration (huawei-noah/vega): 20 generations of 8, each
    candidate trained for 500 epochs, here of 1000 steps of 16 crops of 32×32 (64×64 at the high resolution),
    by Adam at 1e-4 with L1; the three best for 15,000 epochs. They halve the learning rate at epochs 100 and
    200, and here it is halved every 200 epochs. Variants: "cpu" searches smaller networks on embedded photos,
    for hours on two cores; "smoke" has two generations of tiny ones, for which a minute or two is enough.
    """
    config = base_search()
    config.model.update(name="esrn", scale=2)
    config.data.update(patch=32, batch=16)
    config.optim.update(name="adam", lr=1e-4, schedule="halving", period=200_000)
    config.update(steps=500_000, steps_per_call=100, eval_every=10_000, checkpoint_every=10_000)
    config.search.update(min_params=315_000.0, max_params=325_000.0, frame="640x360")
    config.search.long.update(steps=15_000_000, best=3)
    if variant == "cpu":
        _suit_cpu(config)
        config.search.update(min_params=20_000.0, max_params=30_000.0)
        config.search.space_options = {
            "node_num": 6,
            "min_active": 3,
            "conv_num": (2, 3, 4),
            "growth_rate": (8, 16),
            "growth_prob": (1.0, 1.0),
            "G0": 16,
        }
    elif variant == "smoke":
        _shorten(config)
        config.search.update(min_params=500.0, max_params=4_000.0)
        config.search.space_options = {
            "node_num": 2,
            "min_active": 1,
            "conv_num": (1,),
            "conv_prob": (1.0,),
            "growth_rate": (4,),
            "growth_prob": (1.0,),
            "G0": 4,
        }
    else:
        _apply(config, variant)
    return config


def sesr_search_x2(variant: str = "paper") -> ml_collections.ConfigDict:
    """SESR ×2 on luma with layers of their own sizes, no slower than 0.85 of SESR-M5's hardware form.

        sesr search --config sesr_search_x2 --workdir runs/sesr_search --config.data.train=FOLDER

    The time is that of a frame of 1920×1080 on Ethos-N78 with 4 TOPS, where M5's hardware form takes 30.5 ms;
    that form begins the first population and is varied until it is fast enough. Another bound is set by
    --config.search.max_milliseconds, and another NPU by --config.search.target. Variants: "cpu" trains each
    candidate for 2,000 steps of 8 crops of 24×24; "smoke" has two generations of a few steps.
    """
    config = base_search()
    config.model.update(name="layered_sesr", scale=2)
    config.optim.name = "adam"
    config.optim.schedule = "cosine"
    config.update(steps=20_000, eval_every=20_000, checkpoint_every=5_000)
    config.search.update(space="sesr", target="ethos-n78-4tops", max_milliseconds=0.85 * 30.5)
    config.search.update(num_individual=16, mutation_rate=0.15, tries=500)
    # Ethos-N78 runs neither PReLUs nor kernels of 4×4.
    config.search.space_options = {"activations": ("relu",), "ends": ("3x3", "5x5")}
    config.search.long.update(steps=200_000, best=3, correlate=12)
    if variant == "cpu":
        _suit_cpu(config)
    elif variant == "smoke":
        _shorten(config)
        config.search.space_options.update(depth=5, widths=(8, 16), forms=("dense", "collapsible"))
    else:
        _apply(config, variant)
    return config


def mobile_search_x3(variant: str = "paper") -> ml_collections.ConfigDict:
    """Plain INT8 networks ×3 on RGB, no slower than ABPN on the VS680 of the Mobile AI challenges.

        sesr search --config mobile_search_x3 --workdir runs/mobile_search --config.data.train=FOLDER

    ABPN, which takes 30.5 ms by the model of this NPU, begins the first population. PSNR and milliseconds are
    two objectives, since the challenge's score weighs them: half a decibel is worth a factor of two. The
    variants are those of `sesr_search_x2`.
    """
    config = base_search()
    config.model.update(name="layered_sesr", scale=3)
    config.data.update(patch=64, batch=16)
    config.optim.update(name="adam", lr=1e-3, schedule="cosine", warmup=1_000)
    config.update(steps=20_000, eval_every=20_000, checkpoint_every=5_000)
    config.search.update(space="mobile", target="vs680", frame="640x360", max_milliseconds=30.5)
    config.search.update(objectives=("psnr", "milliseconds"))
    config.search.update(num_individual=16, mutation_rate=0.15, tries=500)
    config.search.long.update(steps=200_000, best=3, correlate=12)
    if variant == "cpu":
        _suit_cpu(config)
    elif variant == "smoke":
        _shorten(config)
        config.search.space_options = {"depth": 5, "widths": (8, 28), "forms": ("dense",)}
    else:
        _apply(config, variant)
    return config


def _suit_cpu(config: ml_collections.ConfigDict) -> None:
    """Takes a short training of small crops, which a CPU does in a minute or two."""
    config.data.update(patch=24, batch=8, small="skip")
    config.optim.update(lr=1e-3, schedule="cosine", warmup=100)
    config.update(steps=2_000, steps_per_call=100, eval_every=2_000, checkpoint_every=2_000)
    config.search.update(num_individual=8, num_generation=8)
    config.search.long.update(steps=20_000, best=3, correlate=12)


def _shorten(config: ml_collections.ConfigDict) -> None:
    """Takes a few steps of a few candidates."""
    train.apply_variant(config, "smoke")
    config.optim.warmup = 0
    config.search.update(num_individual=4, num_generation=2, num_elitism=2, crop=64)
    config.search.long.update(steps=8, best=1, correlate=0)


def _apply(config: ml_collections.ConfigDict, variant: str) -> None:
    if variant != "paper":
        raise InputError(f"unknown variant {variant!r}: it must be one of paper, cpu, smoke.")


SEARCHES = {
    make.__name__: Recipe(about=inspect.getdoc(make) or "", get_config=make)
    for make in (esr_ea_x2, sesr_search_x2, mobile_search_x3)
}
"""The searches by name."""
