"""The log of a run: one JSON object per line, and TensorBoard events where tensorboardX is installed."""

import contextlib
import dataclasses
import importlib.util
import json
import os
import pathlib
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Annotated, Any, TextIO

from sesr_jax.errors import InputError
from sesr_jax.files import make_folder, make_refusal, write_file
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
        self._path = pathlib.Path(run) / "log.jsonl"
        self._file: TextIO | None = None
        self._events: _Events | None = None
        if not processes.is_first():
            return
        path = self._path
        kept = [
            line for line in read_log(run) if line["step"] <= step and line.get("stage", 0) <= stage
        ]
        write_file(path, "".join(json.dumps(line) + "\n" for line in kept))
        with self._explain_failure():
            self._file = path.open("a", encoding="utf-8")
            if importlib.util.find_spec("tensorboardX"):
                self._events = _Events(make_folder(path.with_name("tensorboard")), step)

    def __enter__(self) -> "Log":
        return self

    def __exit__(self, *_: object) -> None:
        for output in (self._file, self._events):
            if output:
                with contextlib.suppress(OSError):  # what is written is flushed
                    output.close()

    def write(self, step: int, **scalars: float) -> None:
        """Writes `scalars`, which were measured at `step`.

        Raises:
          InputError: they cannot be written, for example because the disk is full.
        """
        with self._explain_failure():
            if self._file:
                self._file.write(json.dumps({"step": step, **scalars}) + "\n")
                self._file.flush()
            if self._events:
                self._events.write(step, scalars)

    @contextlib.contextmanager
    def _explain_failure(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise make_refusal(self._path, error) from error


class _Events:
    """TensorBoard's file of events, written at once.

    tensorboardX's `SummaryWriter` writes in a thread, where an error is not heard and the next call waits
    forever.
    """

    def __init__(self, folder: pathlib.Path, step: int) -> None:
        """Opens a file in `folder`; TensorBoard drops what earlier files hold of `step` and later ones."""
        from tensorboardX.event_file_writer import EventsWriter
        from tensorboardX.proto.event_pb2 import Event, SessionLog

        self._make_event: Callable[..., Any] = Event
        self._file = EventsWriter(str(folder / "events"))
        self._write(step, session_log=SessionLog(status=SessionLog.START))
        self._file.flush()

    def write(self, step: int, scalars: Mapping[str, float]) -> None:
        from tensorboardX.summary import scalar

        for name, value in scalars.items():
            self._write(step, summary=scalar(name, value))
        self._file.flush()

    def close(self) -> None:
        self._file.close()

    def _write(self, step: int, **content: Any) -> None:
        event = self._make_event(step=step, wall_time=time.time(), **content)
        self._file.write_event(event)


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
