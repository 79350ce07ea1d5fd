"""The log of a run: one JSON object per line, and TensorBoard events where tensorboardX is installed."""

import dataclasses
import importlib.util
import json
import os
import pathlib
from collections.abc import Iterator
from typing import Annotated, Any, TextIO

from sesr_jax.errors import InputError
from sesr_jax.files import write_file
from sesr_jax.schema import NOT_NEGATIVE, POSITIVE, build, show
from sesr_jax.train import processes
from sesr_jax.untrusted import parse_json, read_text


class Log:
    """Appends scalars to ``log.jsonl`` and to TensorBoard, in the first process; a context manager.

    When a run resumes, the lines beyond the restored step are dropped, so that the file is that of a run
    that never stopped.
    """

    def __init__(self, run: str | os.PathLike[str], step: int, stage: int) -> None:
        """Opens the log of a run that resumes after `step`, which `stage` did (−1: no step is done)."""
        self._file: TextIO | None = None
        self._events: Any = None
        if not processes.is_first():
            return
        path = pathlib.Path(run) / "log.jsonl"
        kept = [
            line for line in read_log(run) if line["step"] <= step and line.get("stage", 0) <= stage
        ]
        write_file(path, "".join(json.dumps(line) + "\n" for line in kept))
        self._file = path.open("a", encoding="utf-8")
        if importlib.util.find_spec("tensorboardX"):
            import tensorboardX

            self._events = tensorboardX.SummaryWriter(
                str(pathlib.Path(run) / "tensorboard"), purge_step=step
            )

    def __enter__(self) -> "Log":
        return self

    def __exit__(self, *_: object) -> None:
        for output in (self._file, self._events):
            if output:
                output.close()

    def write(self, step: int, **scalars: float) -> None:
        """Writes `scalars`, which were measured at `step`."""
        if self._file:
            self._file.write(json.dumps({"step": step, **scalars}) + "\n")
            self._file.flush()
        if self._events:
            for name, value in scalars.items():
                self._events.add_scalar(name, value, step)


def read_log(run: str | os.PathLike[str]) -> Iterator[dict[str, float]]:
    """Yields the lines of a run's log, without a last line that was only partly written.

    Raises:
      InputError: a line is no table of numbers with the number of a step.
    """
    path = pathlib.Path(run) / "log.jsonl"
    if not path.exists():
        return
    lines = read_text(path).splitlines()
    for number, line in enumerate(lines, 1):
        where = f"{path}: line {number}"
        try:
            values = parse_json(line, where, finite=False)
        except InputError:
            if number == len(lines):
                return
            raise
        if not isinstance(values, dict) or not all(
            type(v) in (int, float) for v in values.values()
        ):
            raise InputError(f"{where} is {show(values)}: it must be a table of numbers.")
        build(_Line, values, where)
        yield values


@dataclasses.dataclass(frozen=True)
class _Line:
    step: Annotated[int, NOT_NEGATIVE]
    stage: Annotated[int, NOT_NEGATIVE] = 0
    steps_per_second: Annotated[float, POSITIVE] = 1.0
