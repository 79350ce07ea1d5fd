"""The spaces by name, one short file each.

A space of your own is a function that returns a `Space`, whose keyword arguments the config can set:

    def make_space(*, widths: tuple[int, ...] = (8, 16)) -> Space: ...

    register_space("mine", make_space)

A config file may do so before it returns its config.
"""

from collections.abc import Callable

from sesr_jax.errors import InputError, look_up
from sesr_jax.search.space import Space
from sesr_jax.search.spaces import esrn, mobile, sesr

MakeSpace = Callable[..., Space]

SPACES: dict[str, MakeSpace] = {
    "esrn": esrn.make_space,
    "sesr": sesr.make_space,
    "mobile": mobile.make_space,
}
"""What makes each space, by its name."""


def register_space(name: str, make: MakeSpace) -> None:
    """Adds a space, which configs name from now on.

    Raises:
      InputError: another space has the name.
    """
    if SPACES.setdefault(name, make) is not make and SPACES[name].__code__ != make.__code__:
        raise InputError(f"a space {name!r} is registered already: a space has one name.")


def find_space(name: str) -> MakeSpace:
    """Returns what makes the space `name`.

    Raises:
      InputError: there is no such space.
    """
    return look_up("search space", name, SPACES)
