"""A recipe: a training config with variants."""

import dataclasses
import inspect
from collections.abc import Callable
from typing import Any

import ml_collections

from sesr_jax import train


@dataclasses.dataclass(frozen=True, kw_only=True)
class Recipe:
    """A training config with variants.

    Attributes:
      about: a sentence that says what is trained and whose recipe it is, then an empty line and the details.
      get_config: makes the config of a variant, such as "cpu"; without an argument, that of the recipe
        itself.
    """

    about: str
    get_config: Callable[..., ml_collections.ConfigDict]

    @property
    def title(self) -> str:
        """The first sentence of `about`."""
        return self.about.partition("\n")[0]


def make_recipe(make: Callable[[], ml_collections.ConfigDict], about: str | None = None) -> Recipe:
    """Returns a recipe with the config that `make` returns and the variants of `train.apply_variant`.

    Args:
      make: returns the config of the recipe.
      about: see `Recipe`; by default the docstring of `make`.
    """

    def get_config(variant: str = "paper") -> ml_collections.ConfigDict:
        return train.apply_variant(make(), variant)

    return Recipe(about=about or inspect.getdoc(make) or "", get_config=get_config)


def make_recipes(*makers: Callable[[], ml_collections.ConfigDict]) -> dict[str, Recipe]:
    """Returns the recipes with the configs that the functions return, by the functions' names."""
    return {make.__name__: make_recipe(make) for make in makers}


def make_config(model: str, scale: int, **options: Any) -> ml_collections.ConfigDict:
    """Returns the config `train.base` for a network of the zoo with `options`."""
    config = train.base()
    config.model.update(name=model, scale=scale, options=options)
    return config
