"""The page about a run of several stages or losses.

It shows PSNR over the steps, what each stage began and ended with, and whatever the training steps logged.
"""

import importlib.util
import logging
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import jax

from sesr_jax import report
from sesr_jax.reparam import list_basis_sizes
from sesr_jax.train.log import read_log
from sesr_jax.train.stages import StagePlan

_Lines: TypeAlias = Sequence[Mapping[str, float]]

_log = logging.getLogger(__name__)

PAGE = "stages.html"
"""In the folder of a finished run."""


def write_page(stages: Sequence[StagePlan], variables: Sequence[Any], run: pathlib.Path) -> None:
    """Writes `PAGE` from the run's log; without Matplotlib, one line of the program's log says so.

    Args:
      stages: the run's. With one stage and one loss, there is no page.
      variables: what each stage deploys, or its shapes.
      run: its folder.
    """
    lines = list(read_log(run))
    trained = _training_metrics(lines)
    if not stages[0].label and trained.keys() <= {"loss", "learning_rate"}:
        return
    if importlib.util.find_spec("matplotlib") is None:
        _log.info("no %s, since Matplotlib is not installed: pip install 'sesr_jax[demo]'", PAGE)
        return
    model = stages[0].config.model
    curve = report.Plot(
        lines={
            f"stage {stage.index}: {stage.entry.name}": _read_curve(stage, lines)
            for stage in stages
        },
        x="steps",
        y="PSNR in dB",
        caption="A line begins where its stage has just transformed the parameters.",
    )
    table = report.Table(
        header=[
            "stage",
            "entry",
            "steps",
            "parameters",
            "bases",
            "largest change at entry",
            "PSNR before",
            "after",
            "at its end",
        ],
        rows=[_make_row(*stage, lines) for stage in zip(stages, variables, strict=True)],
        caption="Parameters are counted as trained; the change is that of the collapsed ones. PSNR in dB.",
    )
    metrics: list[report.Block] = [
        report.Plot(lines={name: points}, x="steps", y=name) for name, points in trained.items()
    ]
    page = report.Page(
        f"{model.name} ×{model.scale} in {len(stages)} stage{'s' * (len(stages) > 1)}",
        [
            report.Section("Quality over the run", [curve]),
            *([report.Section("Stages", [table])] if stages[0].label else []),
            report.Section("Training", metrics),
        ],
    )
    report.write_page(page, run / PAGE)


def _read_curve(stage: StagePlan, lines: _Lines) -> tuple[list[float], list[float]]:
    """Returns steps and PSNR of a stage, from its first moment where that was measured."""
    points = [
        (line["step"], line.get("psnr_after", line.get("psnr")))
        for line in lines
        if line.get("stage", 0) == stage.index
    ]
    if stage.entry.name == "none" and stage.index:
        points.insert(0, (stage.start, _find_first("stage_psnr", stage.index - 1, lines)))
    known = [(step, psnr) for step, psnr in points if psnr is not None]
    return [step for step, _ in known], [psnr for _, psnr in known]


def _training_metrics(lines: _Lines) -> dict[str, tuple[list[float], list[float]]]:
    """Returns steps and values of every metric that training steps logged, by name."""
    trained = [line for line in lines if "learning_rate" in line]
    names = dict.fromkeys(name for line in trained for name in line)
    return {
        name: (
            [line["step"] for line in trained if name in line],
            [line[name] for line in trained if name in line],
        )
        for name in names
        if name not in ("step", "stage")
    }


def _make_row(stage: StagePlan, variables: Any, lines: _Lines) -> list[object]:
    bases = sorted(set(list_basis_sizes(variables)))
    return [
        stage.index,
        stage.entry.name,
        f"{stage.end - stage.start:,}",
        f"{sum(leaf.size for leaf in jax.tree.leaves(variables['params'])):,}",
        ", ".join(map(str, bases)) or "–",
        _format("kernel_change", stage.index, lines, ".3g"),
        *(
            _format(name, stage.index, lines, ".2f")
            for name in ("psnr_before", "psnr_after", "stage_psnr")
        ),
    ]


def _find_first(name: str, stage: int, lines: _Lines) -> float | None:
    return next((x[name] for x in lines if x.get("stage", 0) == stage and name in x), None)


def _format(name: str, stage: int, lines: _Lines, form: str) -> str:
    value = _find_first(name, stage, lines)
    return "–" if value is None else format(value, form)
