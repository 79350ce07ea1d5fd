"""The config of a search: that of the candidates' training, and `search`.

    config = base_search()
    config.search.space = "sesr"
    config.search.target = "ethos-n78-4tops"
    config.search.max_milliseconds = 15.0

Names that the authors' code of ESR-EA has are the names here.
"""

import inspect
import re
from typing import Any

import ml_collections

from sesr_jax.errors import InputError, look_up
from sesr_jax.schema import build
from sesr_jax.search.space import Space
from sesr_jax.search.spaces import find_space
from sesr_jax.train import base
from sesr_jax.train.validation import validate

BOUNDED = {
    "params": "parameters",
    "macs": "MACs",
    "activations": "activations",
    "memory": "bytes of memory",
    "milliseconds": "ms",
}
"""What `config.search.min_…` and `max_…` bound, and its unit."""

OBJECTIVES = ("psnr", *BOUNDED)
"""What can be an objective: PSNR is to be high, and the others low."""

SELECTIONS = ("roulette", "tournament")


def base_search() -> ml_collections.ConfigDict:
    """Returns `train.config.base`, for the quick training of candidates, and the settings of a search."""
    config = base()
    config.search = ml_collections.ConfigDict(
        {
            "space": "esrn",  # a name in `search.SPACES`
            "space_options": ml_collections.ConfigDict(),  # arguments of what makes the space
            "num_individual": 8,  # of a generation
            "num_generation": 20,
            "num_elitism": 4,  # the best so far, from which children are made
            "mutation_rate": 0.05,  # of each gene
            "selection": "roulette",  # of the parents of a crossover; or "tournament"
            "credits": True,  # values that good candidates have are drawn more often
            "tries": 20_000,  # variations after which a child is given up that fits no bounds
            "start": (),  # genomes in the first population, as the results print them
            "seeds": True,  # so are those of the space
            "objectives": ("psnr",),  # or several; see `OBJECTIVES`
            **{f"{end}_{name}": 0.0 for name in BOUNDED for end in ("min", "max")},  # 0: no bound
            # MACs, activations, memory and milliseconds are those of an input of this size.
            "frame": "1920x1080",  # width x height
            "target": "",  # a target's name or file, for milliseconds
            "tiles": False,  # whether the target may cut the frame into its fastest tiles
            "saving": 0.0,  # as in npu.estimate
            # The side in HR pixels of the middle of each image on which candidates are measured; 0 for all.
            "crop": 0,
            "inherit": False,  # candidates start from their parent's weights where the shapes agree
            # Successive halving: after 1 / 2^halvings of the steps, and so on, half of a generation goes on.
            "halvings": 0,
            "long": {  # when all generations are done
                "best": 3,  # how many are trained long
                "steps": 0,  # 0 for no long training
                "correlate": 0,  # so many, the best among them, for Kendall's correlation
            },
            "workers": 0,  # how many processes of this machine train candidates; 0 for this one
            "ray": "",  # or the address of the Ray cluster that trains them; see `search.cluster`
        }
    )
    return config


def make_space(config: ml_collections.ConfigDict) -> Space:
    """Returns the space that the config names.

    Raises:
      InputError: there is no such space, or it has no such option.
    """
    make = find_space(config.search.space)
    known = inspect.signature(make).parameters
    options = {}
    for name, value in config.search.space_options.items():
        if name not in known:
            raise InputError(
                f"config.search.space_options.{name} is no option of the space {config.search.space!r}: it "
                f"must be one of {', '.join(known)}."
            )
        default = known[name].default
        kind: Any = type(default)
        if isinstance(default, tuple):
            kind = tuple[type(default[0]), ...]  # type: ignore[misc]
        options[name] = build(kind, value, f"config.search.space_options.{name}")
    space = make(**options)
    if len(space.genes) < space.min_active:
        raise InputError(
            f"the space {config.search.space!r} has {len(space.genes)} genes, of which {space.min_active} "
            "must be active: there must be as many or more."
        )
    return space


def parse_frame(text: str) -> tuple[int, int]:
    """Returns (height, width) for "1920x1080".

    Raises:
      InputError: it is no size.
    """
    match = re.fullmatch(r"([1-9]\d{0,4})[x×]([1-9]\d{0,4})", text)
    if not match:
        raise InputError(
            f"config.search.frame is {text!r}: it must be width x height, such as 1920x1080."
        )
    return int(match[2]), int(match[1])


def parse_address(text: str) -> tuple[str, int] | None:
    """Returns (host, port) for "127.0.0.1:6379", or None for "auto".

    Raises:
      InputError: it is neither.
    """
    if text == "auto":
        return None
    match = re.fullmatch(r"([^\s:/]+):(\d{1,5})", text)
    if not match or not 0 < int(match[2]) < 2**16:
        raise InputError(
            f'config.search.ray is {text!r}: it must be "auto", for the cluster of this machine, or '
            "HOST:PORT, as `ray start --head` prints it."
        )
    return match[1], int(match[2])


def validate_search(config: ml_collections.ConfigDict) -> None:
    """Checks that the values of the config are valid and fit together.

    Raises:
      InputError: they are not, or do not.
    """
    if "search" not in config:
        raise InputError(
            "the config has no config.search: a search needs it, as search.base_search and the recipe "
            "esr_ea_x2 have it."
        )
    validate(config)
    found, defaults = config.search, base_search().search
    for key, default in defaults.items():
        if key not in found:
            raise InputError(f"config.search.{key} is missing.")
        if key in ("objectives", "start"):
            build(tuple[str, ...], found[key], f"config.search.{key}")
        elif not isinstance(default, ml_collections.ConfigDict):
            build(type(default), found[key], f"config.search.{key}")
    if config.stages or config.init:
        raise InputError(
            f"config.stages is {tuple(config.stages)} and config.init {config.init!r}: both must be empty, "
            "since candidates are trained in one stage, from fresh weights or their parents'."
        )
    _validate_numbers(found)
    _validate_choices(found)
    steps, per_call = found.long.steps, config.steps_per_call
    if steps < 0 or steps % per_call:
        raise InputError(
            f"config.search.long.steps is {steps}: it must be 0 or a multiple of config.steps_per_call "
            f"= {per_call}."
        )
    if found.halvings and config.steps // 2**found.halvings < per_call:
        raise InputError(
            f"config.search.halvings is {found.halvings}: {config.steps} steps must hold a call of "
            f"{per_call} steps after so many halvings."
        )


def _validate_numbers(found: ml_collections.ConfigDict) -> None:
    for key in ("num_individual", "num_generation", "num_elitism", "tries"):
        if found[key] < 1:
            raise InputError(f"config.search.{key} is {found[key]}: it must be positive.")
    for key, number in (
        ("halvings", found.halvings),
        ("workers", found.workers),
        ("crop", found.crop),
        ("long.best", found.long.best),
        ("long.correlate", found.long.correlate),
    ):
        if number < 0:
            raise InputError(f"config.search.{key} is {number}: it must not be negative.")
    if found.workers and found.ray:
        raise InputError(
            f"config.search.workers is {found.workers} and ray {found.ray!r}: one of them must be left out, "
            "since candidates are trained by processes of this machine or by a cluster."
        )
    if found.ray:
        parse_address(found.ray)
    if found.num_individual < found.num_elitism:
        raise InputError(
            f"config.search.num_individual is {found.num_individual} and num_elitism {found.num_elitism}: "
            "a population must not be smaller than its elite."
        )
    if not 0 < found.mutation_rate <= 1:
        raise InputError(
            f"config.search.mutation_rate is {found.mutation_rate}: it must be above 0 and at most 1."
        )
    if not 0 <= found.saving < 1:
        raise InputError(f"config.search.saving is {found.saving}: it must lie in [0, 1).")
    for name in BOUNDED:
        low, high = found[f"min_{name}"], found[f"max_{name}"]
        if low < 0 or high < 0 or (high and low > high):
            raise InputError(
                f"config.search.min_{name} is {low:,g} and max_{name} {high:,g}: neither may be negative, "
                "and the first must not be above the second."
            )


def _validate_choices(found: ml_collections.ConfigDict) -> None:
    if found.selection not in SELECTIONS:
        raise InputError(
            f"config.search.selection is {found.selection!r}: it must be one of {', '.join(SELECTIONS)}."
        )
    objectives = tuple(found.objectives)
    for name in objectives:
        look_up("objective", name, dict.fromkeys(OBJECTIVES))
    if "psnr" not in objectives or len(set(objectives)) < len(objectives):
        raise InputError(
            f"config.search.objectives is {objectives}: it must hold psnr, and each objective once."
        )
    timed = "milliseconds" in objectives or found.min_milliseconds or found.max_milliseconds
    if timed and not found.target:
        raise InputError(
            "config.search.target is empty where milliseconds are bounded or an objective: it must name a "
            "target, such as ethos-n78-4tops."
        )
    parse_frame(found.frame)
