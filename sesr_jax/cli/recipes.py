"""``sesr recipes``: the training configs that ship."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from sesr_jax.cli import arguments

_EXAMPLE = """  sesr recipes
  sesr recipes sesr_m5_basis_x2
  sesr recipes sesr_m5_x2:cpu    # with the values of this variant"""


def run(argv: Sequence[str]) -> None:
    """Parses `argv` and prints a list, or all that is said of one recipe and every value that it sets."""
    parser = arguments.make_parser(
        "recipes",
        "List the recipes that `sesr train`, `sesr ablate` and `sesr search` take by name, or describe one.",
        _EXAMPLE,
    )
    parser.add_argument(
        "name",
        nargs="?",
        help="the recipe to describe; a variant follows a colon, as in sesr_m5_x2:cpu",
    )
    args = parser.parse_args(argv)

    from sesr_jax.errors import InputError, look_up
    from sesr_jax.recipes import COMPARISONS, RECIPES, SEARCHES, read_config
    from sesr_jax.report import format_table

    shipped = {**RECIPES, **COMPARISONS, **SEARCHES}
    if args.name:
        print(look_up("recipe", args.name.partition(":")[0], shipped).about)
        try:
            config = read_config(args.name)
        except InputError:
            if ":" in args.name:
                raise
            return  # one of several configs, which a variant must name
        print("\nEvery value, as the command line sets it:\n")
        for name, value in _list_values(config.to_dict(), "--config"):
            print(f"  {name}={value!r}")
    else:
        print(
            format_table(
                [[n, recipe.title] for n, recipe in shipped.items()], ["recipe", "what it is"], "<<"
            )
        )


def _list_values(config: Mapping[str, Any], name: str) -> Iterator[tuple[str, Any]]:
    """Yields the names and the values of a config, of its tables and of its stages."""
    for key, value in config.items():
        if isinstance(value, Mapping) and value:
            yield from _list_values(value, f"{name}.{key}")
        elif key == "stages" and value:
            for i, stage in enumerate(value):
                yield from _list_values(stage.to_dict(), f"{name}.stages[{i}]")
        elif not isinstance(value, Mapping):
            yield f"{name}.{key}", value
