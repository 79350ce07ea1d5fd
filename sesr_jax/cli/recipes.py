"""``sesr recipes``: the training configs that ship."""

from collections.abc import Sequence

from sesr_jax.cli import arguments

_EXAMPLE = """  sesr recipes
  sesr recipes sesr_m5_basis_x2"""


def run(argv: Sequence[str]) -> None:
    """Parses `argv` and prints a list, or all that is said of one recipe."""
    parser = arguments.make_parser(
        "recipes",
        "List the recipes that `sesr train`, `sesr ablate` and `sesr search` take by name, or describe one.",
        _EXAMPLE,
    )
    parser.add_argument("name", nargs="?", help="the recipe to describe")
    args = parser.parse_args(argv)

    from sesr_jax.errors import look_up
    from sesr_jax.recipes import COMPARISONS, RECIPES, SEARCHES
    from sesr_jax.report import format_table

    shipped = {**RECIPES, **COMPARISONS, **SEARCHES}
    if args.name:
        print(look_up("recipe", args.name, shipped).about)
    else:
        print(
            format_table(
                [[n, recipe.title] for n, recipe in shipped.items()], ["recipe", "what it is"], "<<"
            )
        )
