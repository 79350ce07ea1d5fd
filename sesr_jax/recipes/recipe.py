"""What a recipe is."""

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
      about: a sentence that says what is trained and whose recipe it is; below it, behind an empty line, the
        details.
      get_config: makes the config of a variant, such as "cpu"; without one, of the recipe as it stands.
    """

    about: str
    get_config: Callable[..., ml_collections.ConfigDict]

    @property
    def title(self) -> str:
        """The first sentence of `about`."""
        return self.about.partition("\n")[0]


def recipe(make: Callable[[], ml_collections.ConfigDict], about: str | None = None) -> Recipe:
    """Returns the recipe of which `make` gives the config, with the variants of `train.apply_variant`.

    Args:
      make: gives the config of the recipe as it stands.
      about: see `Recipe`; by default the docstring of `make`.
    """

    def get_config(variant: str = "paper") -> ml_collections.ConfigDict:
        return train.apply_variant(make(), variant)

    return Recipe(about=about or inspect.getdoc(make) or "", get_config=get_config)


def recipes(*makers: Callable[[], ml_collections.ConfigDict]) -> dict[str, Recipe]:
    """Returns the recipes that functions make, by the functions' names."""
    return {make.__name__: recipe(make) for make in makers}


def config_for(model: str, scale: int, **options: Any) -> ml_collections.ConfigDict:
    """Returns the defaults of `train.base` for a network of the zoo with `options`."""
    config = train.base()
    config.model.update(name=model, scale=scale, options=options)
    return config
