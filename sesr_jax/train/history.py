"""The history of trained weights: the chain of runs, each of which began with the weights of the run before.

for past in read_history("runs/m5_qat").runs:
    print(past.run.name, past.steps)
"""

import dataclasses
import os
import pathlib
from collections.abc import Mapping, Sequence

import ml_collections

from sesr_jax.files import read_safetensors
from sesr_jax.schema import build
from sesr_jax.train.checkpoint import get_hardware, is_run, read_config
from sesr_jax.train.log import read_log
from sesr_jax.untrusted import parse_json


@dataclasses.dataclass(frozen=True, kw_only=True)
class PastRun:
    """One run, or its first steps, in the history of trained weights.

    Attributes:
      run: its folder.
      config: its config.
      steps: the number of its steps that belong to the history.
      hardware: the hardware that it ran on; None where that is not recorded.
      log: the lines of its log up to the last of these steps.
    """

    run: pathlib.Path
    config: ml_collections.ConfigDict
    steps: int
    hardware: str | None
    log: Sequence[Mapping[str, float]]

    @property
    def hours(self) -> float:
        """The hours that the steps took at the logged speeds, without evaluation and compilation."""
        measured = [line for line in self.log if "steps_per_second" in line]
        ends = [0.0, *(line["step"] for line in measured)]
        spans = zip(ends, measured, strict=False)
        seconds = sum((line["step"] - start) / line["steps_per_second"] for start, line in spans)
        return seconds / 3600

    @property
    def curve(self) -> list[tuple[float, float]]:
        """Steps, and PSNR in dB on the images of ``config.data.eval``."""
        return [(line["step"], line["psnr"]) for line in self.log if "psnr" in line]


@dataclasses.dataclass(frozen=True, kw_only=True)
class History:
    """What led to trained weights.

    Attributes:
      runs: the runs, the first one first.
      start: the file with whose weights the first run began, where no known run wrote it; None where the
        first run began with fresh weights.
    """

    runs: tuple[PastRun, ...]
    start: pathlib.Path | None


def read_history(
    run: str | os.PathLike[str], origin: tuple[pathlib.Path, int | None] | None = None
) -> History:
    """Returns the runs that led to the weights of `run`, which is the last of them.

    Args:
      run: a run's folder.
      origin: the run whose weights the first run began with, and the last of its steps that counts (None:
        all count), where the first run's ``config.init`` is not in the folder of a run.

    Raises:
      InputError: a folder is not that of a run.
    """
    return _follow(pathlib.Path(run), None, origin)


def _follow(
    run: pathlib.Path, last: int | None, origin: tuple[pathlib.Path, int | None] | None
) -> History:
    config = read_config(run)
    lines = [line for line in read_log(run) if last is None or line["step"] <= last]
    past = PastRun(
        run=run,
        config=config,
        steps=int(max((line["step"] for line in lines), default=0)),
        hardware=get_hardware(run),
        log=lines,
    )
    if not config.init:
        return History(runs=(past,), start=None)
    start = pathlib.Path(config.init)
    if is_run(start):
        before = _follow(start, None, origin)
    elif is_run(start.parent):
        before = _follow(start.parent, _read_step(start), origin)
    elif origin is not None:
        before = _follow(*origin, None)
    else:
        before = History(runs=(), start=start)
    return dataclasses.replace(before, runs=(*before.runs, past))


def _read_step(file: pathlib.Path) -> int | None:
    """Returns the step at which weights were saved; None where their file does not record it."""
    step = read_safetensors(file)[1].get("step") if file.is_file() else None
    if step is None:
        return None
    where = f"{file}: metadata.step"
    return int(build(int, parse_json(step, where), where))
