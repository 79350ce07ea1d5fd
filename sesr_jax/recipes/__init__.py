"""Training configs that ship with the package and are found by name, and the reader of any config.

    config = read_config("sesr_m5_x2:cpu", ["--config.optim.lr=1e-3"])

A family of recipes is one file with `RECIPES`; a new recipe is one function in such a file.
"""

from sesr_jax.recipes.read import COMPARISONS, FAMILIES, RECIPES, SEARCHES, read_config
from sesr_jax.recipes.recipe import Recipe

__all__ = ["COMPARISONS", "FAMILIES", "RECIPES", "SEARCHES", "Recipe", "read_config"]
