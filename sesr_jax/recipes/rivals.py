"""Networks of other papers with SESR's recipe, for fair comparisons."""

import functools

import ml_collections

from sesr_jax.recipes.recipe import Recipe, make_config, make_recipe, make_recipes


def fsrcnn_x2() -> ml_collections.ConfigDict:
    """FSRCNN(56, 12, 4) ×2, trained as SESR is, for a comparison of like with like.

    SESR's authors report 32.47 dB on Set14 in their setup, FSRCNN's 32.62 dB.
    """
    return make_config("fsrcnn", 2)


def _make_quicksrnet(size: str) -> Recipe:
    return make_recipe(
        functools.partial(make_config, f"quicksrnet_{size}", 3),
        f"QuickSRNet-{size.title()} ×3 (Berger et al., CVPR Workshops 2023) by SESR's recipe, to compare "
        "like with like.\n\nThe paper has figures of ×2 on luma alone.",
    )


RECIPES = {
    **make_recipes(fsrcnn_x2),
    **{f"quicksrnet_{size}_x3": _make_quicksrnet(size) for size in ("small", "medium", "large")},
}
"""The recipes by name."""
