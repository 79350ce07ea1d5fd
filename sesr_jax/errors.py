"""The one exception for what a user can put right, and the refusals that are needed in many places."""

import contextlib
import difflib
from collections.abc import Iterator, Mapping
from typing import TypeVar

_Value = TypeVar("_Value")


class InputError(ValueError):
    """Bad input, told in one sentence: the value, the rule that it breaks and the remedy.

    The library raises it for whatever a caller can mend (a corrupt image, an unknown model, a wrong
    scale); the command line prints it without a traceback and exits with status 2. Anything else that
    escapes is a defect of this package.
    """


def look_up(kind: str, name: str, table: Mapping[str, _Value]) -> _Value:
    """The entry `name` of `table`, whose entries are of that `kind`, as in "model".

    Raises:
      InputError: there is none.
    """
    if name in table:
        return table[name]
    near = difflib.get_close_matches(str(name), table, n=1)
    hint = f"did you mean {near[0]!r}?" if near else "choose one."
    raise InputError(f"unknown {kind} {name!r}: it must be one of {', '.join(table)}; {hint}")


@contextlib.contextmanager
def needs(extra: str, what: str) -> Iterator[None]:
    """For imports of what only an extra of the package brings: `what`, as in "plots", needs it.

    Raises:
      InputError: something that is imported within is not installed.
    """
    try:
        yield
    except ImportError as error:
        missing = error.name or error
        raise InputError(
            f"{what}: {missing} is needed and not installed; run pip install 'sesr_jax[{extra}]'."
        ) from error


class Stopped(Exception):  # noqa: N818  # it is no error: the run goes on when it is started again
    """A verb was asked to end (SIGTERM); a training run has saved its state."""
