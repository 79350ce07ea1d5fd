"""Reads the config that ``--config`` names: a recipe or a file, its variant, and overrides."""

import dataclasses
import inspect
import pathlib
import re
import runpy
from collections.abc import Callable, Mapping, Sequence
from types import ModuleType

import ml_collections
from absl import flags
from ml_collections import config_flags

from sesr_jax.errors import InputError, find_reason, look_up
from sesr_jax.models import create
from sesr_jax.recipes import efficient, mobile_ai, real, rivals, sesr
from sesr_jax.recipes.comparisons import COMPARISONS
from sesr_jax.recipes.recipe import Recipe
from sesr_jax.recipes.searches import SEARCHES
from sesr_jax.train.optim import find_optimizer

FAMILIES: tuple[ModuleType, ...] = (sesr, rivals, mobile_ai, efficient, real)
"""The modules of recipes."""

RECIPES: Mapping[str, Recipe] = {
    name: recipe for family in FAMILIES for name, recipe in family.RECIPES.items()
}
"""The recipes of single networks, by name."""

_FORMER = {"ablations/forms": "forms", "mobile_ai/equal": "mobile_ai_equal"}
"""Recipes by their places under experiments/ in earlier versions; the others were experiments/NAME.py."""


def read_config(spec: str, overrides: Sequence[str] = ()) -> ml_collections.ConfigDict:
    """Returns the config that `spec` names, with ``--config.key=value`` overrides.

    Args:
      spec: the name of a recipe or a Python file, and behind a colon its variant, as in "sesr_m5_x2:cpu". A
        file defines ``get_config(variant)``, or a dictionary ``RECIPES``, one of which the variant names, as
        in "mine.py:wide+cpu".
      overrides: options of the command line.

    Raises:
      InputError: there is no such recipe or file, the file is not valid, or an override does not suit it.
    """
    name, _, variant = spec.partition(":")
    try:
        config = _find(name, variant)
        for override in overrides:
            _offer_option(config, override)
        values, command = flags.FlagValues(), ["sesr train", *overrides]
        config_flags.DEFINE_config_dict("config", config, flag_values=values, sys_argv=command)
        _, *unread = values(command)
    except InputError:
        raise
    # A config is any Python, which may also ask to exit; and absl raises many kinds for overrides.
    except (Exception, SystemExit) as error:
        raise InputError(
            f"the config {spec} with {list(overrides)} is not valid ({find_reason(error)}): keys and types "
            "must be those of sesr_jax.train.base."
        ) from error
    if unread:
        raise InputError(
            f"{' '.join(unread)} is no option: values of the config are set by --config.key=value, such as "
            "--config.data.train=FOLDER."
        )
    return config


def _find(name: str, variant: str) -> ml_collections.ConfigDict:
    """Returns the config of the recipe or file `name` in that variant."""
    path = pathlib.Path(name)
    if path.is_file():
        content = runpy.run_path(name)
        if "RECIPES" in content and "get_config" not in content:
            return _choose(content["RECIPES"], variant)
        return _make_config(content["get_config"], variant)
    shipped = {**RECIPES, **COMPARISONS, **SEARCHES}
    if (former := _find_former_name(path)) in shipped:
        name = former
    if name not in shipped and path.suffix:
        raise InputError(
            f"no such config: {name} must be a file or the name of a recipe, such as sesr_m5_x2."
        )
    return _make_config(look_up("recipe", name, shipped).get_config, variant)


def _choose(recipes: Mapping[str, Recipe], variant: str) -> ml_collections.ConfigDict:
    """Returns the config of the recipe that `variant` begins with, from a file of several recipes."""
    name, _, rest = variant.partition("+")
    return _make_config(look_up("recipe", name, recipes).get_config, rest)


def _make_config(
    get_config: Callable[..., ml_collections.ConfigDict], variant: str
) -> ml_collections.ConfigDict:
    return get_config(variant) if variant else get_config()


def _find_former_name(path: pathlib.Path) -> str:
    """Returns the recipe that earlier versions had at `path`, such as experiments/sesr_m5_x2.py, or ""."""
    _, marker, inside = path.as_posix().rpartition("experiments/")
    if not marker or path.suffix != ".py":
        return ""
    place = inside.removesuffix(".py")
    return _FORMER.get(place, place)


def _offer_option(config: ml_collections.ConfigDict, override: str) -> None:
    """Lets `override` set an option of the model or the optimiser that the config does not name.

    Raises:
      InputError: there is no such option.
    """
    match = re.match(r"--config\.(model|optim)\.options\.(\w+)", override)
    if not match or match[2] in config[match[1]].options:
        return
    group, option = match[1], match[2]
    if group == "model":
        module = create(config.model.name, scale=config.model.scale)
        defaults = {field.name: getattr(module, field.name) for field in dataclasses.fields(module)}
    else:
        parameters = inspect.signature(find_optimizer(config.optim.name)).parameters
        defaults = {name: one.default for name, one in parameters.items()}
    if not isinstance(default := defaults.get(option), (bool, int, float, str)):
        raise InputError(
            f"{override}: {config[group].name} has no option {option!r} that a command line can set."
        )
    with config.unlocked():
        config[group].options[option] = default
