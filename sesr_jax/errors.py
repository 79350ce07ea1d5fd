"""The exceptions for what a user can put right, and the checks that many rooms need."""

import contextlib
import difflib
from collections.abc import Iterator, Mapping
from typing import TypeVar

_Value = TypeVar("_Value")


class InputError(ValueError):
    """Bad input. The message is one sentence: the value, the rule that it breaks and, if needed, the remedy.

    The library raises it for whatever a caller can mend (a corrupt image, an unknown model, a wrong
    scale); the command line prints it without a traceback and exits with status 2. Anything else that
    escapes is a defect of this package.
    """


class MissingError(InputError):
    """A file, folder or data set is not there. A caller who can do without it catches this."""


class UnsupportedError(InputError):
    """A sound file does not run in the way that was asked for. A caller with another way catches this."""


def look_up(kind: str, name: str, table: Mapping[str, _Value]) -> _Value:
    """Returns the entry `name` of `table`, whose entries are of that `kind`, such as "model".

    Raises:
      InputError: there is no such entry.
    """
    if name in table:
        return table[name]
    near = difflib.get_close_matches(str(name), table, n=1)
    hint = f"did you mean {near[0]!r}?" if near else "choose one."
    raise InputError(f"unknown {kind} {name!r}: it must be one of {', '.join(table)}; {hint}")


@contextlib.contextmanager
def require_extra(extra: str, what: str) -> Iterator[None]:
    """Turns a failed import inside the block into a sentence that names the extra to install.

    Args:
      extra: the extra of this package that brings the imported module, such as "demo".
      what: what needs it, such as "plots".

    Raises:
      InputError: a module that is imported inside the block is not installed.
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
