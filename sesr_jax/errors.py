"""The exceptions for what a user can put right, and the checks that many rooms need."""

import contextlib
import difflib
import re
import signal
from collections.abc import Iterator, Mapping
from typing import TypeVar

_Value = TypeVar("_Value")


_LONGEST = 1200
"""Characters of an error's text: what a file says can be of any length."""

_LONGEST_REASON = 200
"""Characters of what a library says, in an error of ours."""

_UNPRINTABLE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]"
)


def to_printable(text: str) -> str:
    """Returns `text` with what could steer a terminal, or cannot be written as UTF-8, in escaped form.

    File names and what files say may hold a terminal's commands, characters that turn the direction of the
    text, and bytes that are no UTF-8 (as surrogates). Line ends and tabs stay.
    """
    return _UNPRINTABLE.sub(lambda found: ascii(found[0])[1:-1], text)


class InputError(ValueError):
    """Bad input. The message is one sentence: the value, the rule that it breaks and, if needed, the remedy.

    The library raises it for whatever a caller can mend (a corrupt image, an unknown model, a wrong
    scale); the command line prints it without a traceback and exits with status 2. Anything else that
    escapes is a defect of this package. Its text is printable, has one line, and
    is cut in the middle where it is very long.
    """

    def __str__(self) -> str:
        text = to_printable(super().__str__()).replace("\n", "\\n")
        half = _LONGEST // 2
        return text if len(text) <= _LONGEST else f"{text[:half]} … {text[-half:]}"


class MissingError(InputError):
    """A file, folder or data set is not there. A caller who can do without it catches this."""


class UnsupportedError(InputError):
    """A sound file does not run in the way that was asked for. A caller with another way catches this."""


def find_reason(error: BaseException) -> str:
    """Returns the first line of an error's message, cut to 200 characters, or its class if it has none."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:_LONGEST_REASON]


def look_up(kind: str, name: str, table: Mapping[str, _Value]) -> _Value:
    """Returns the entry `name` of `table`, whose entries are of that `kind`, such as "model".

    Raises:
      InputError: there is no such entry.
    """
    if isinstance(name, str) and name in table:
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
    """A verb was asked to end; a training run has saved its state.

    Attributes:
      signal: what asked.
    """

    def __init__(self, message: str, by: signal.Signals = signal.SIGTERM) -> None:
        """Says what is saved."""
        super().__init__(message)
        self.signal = by
