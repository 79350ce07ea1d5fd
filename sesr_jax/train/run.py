"""The open folder of a run: its lock, its checkpoints, and whether it is asked to end.

    with open_run("runs/m5", keep=3) as run:
        state = fit(stages, start, run=run)

Every process of a training opens the same run. The first one alone locks, reads and writes the folder, and
the others hear from it what the folder holds.
"""

import contextlib
import os
import pathlib
import signal
from collections.abc import Callable, Iterator
from typing import Any

from sesr_jax.files import lock_folder
from sesr_jax.train import processes
from sesr_jax.train.saving import Checkpoints


class Run:
    """A run's folder, open; `open_run` makes it.

    Attributes:
      folder: where it is.
      find_signal: returns the signal by which any process is asked to end, or None. All processes call it
        equally often.
    """

    def __init__(
        self,
        folder: pathlib.Path,
        checkpoints: Checkpoints,
        find_signal: Callable[[], signal.Signals | None],
    ) -> None:
        """Holds what `open_run` has opened."""
        self.folder, self.find_signal = folder, find_signal
        self._checkpoints = checkpoints

    @property
    def last(self) -> int | None:
        """The latest step saved; None before the first."""
        return self._checkpoints.last

    def restore(self, shapes: Any) -> Any:
        """Returns the latest state, which has these shapes.

        Raises:
          InputError: the checkpoint is damaged or belongs to another model.
        """
        return self._checkpoints.restore(shapes)

    def save(self, step: int, state: Any) -> None:
        """Saves `state`; the file is written while training goes on."""
        self._checkpoints.save(step, state)

    def wait(self) -> None:
        """Returns when all is written."""
        self._checkpoints.wait()


@contextlib.contextmanager
def open_run(
    folder: str | os.PathLike[str], *, keep: int = 3, claim: Callable[[], None] | None = None
) -> Iterator[Run]:
    """Opens a run's folder, which is made if it is missing, until the block ends.

    Args:
      folder: where it is.
      keep: how many checkpoints are kept.
      claim: called in the first process once the folder is locked, before anything else; it may refuse.

    Raises:
      InputError: another process works there, or what `claim` refuses.
    """
    with contextlib.ExitStack() as stack:

        def begin() -> None:
            stack.enter_context(lock_folder(folder))
            if claim:
                claim()

        processes.run_in_first(begin)
        checkpoints = stack.enter_context(Checkpoints(folder, keep))
        find_signal = stack.enter_context(processes.listen_for_signals())
        yield Run(pathlib.Path(folder), checkpoints, find_signal)
