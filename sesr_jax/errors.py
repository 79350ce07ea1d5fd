"""The one exception for what a user can put right, and the refusal that every table of names needs."""

import difflib
from collections.abc import Mapping
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


class Stopped(Exception):  # noqa: N818  # it is no error: the run goes on when it is started again
    """A verb was asked to end (SIGTERM); a training run has saved its state."""
