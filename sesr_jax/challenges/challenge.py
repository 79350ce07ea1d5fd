"""A challenge as a value: a task, how entries are measured and scored, and the published entries."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Literal

from sesr_jax.metrics import Protocol

Measures = Mapping[str, float]
"""The measures of an entry by `Measure.key`; unknown ones are absent."""

Scoring = Callable[[Sequence[Measures]], Sequence[float | None]]
"""A function from the measures of all entries to their scores, since a score may be a rank or a sum of ranks.
The score is None for an entry that lacks a measure or breaks a rule."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Measure:
    """A column of a challenge's table.

    Attributes:
      key: the key in `Measures`; "psnr" (dB) and "ssim" follow its protocol, and "niqe" is of images that are
        upscaled as they are, without a reference. "milliseconds" is for its frame, and so are "macs" and
        "flops" (10⁹) and "activations" (10⁶), which are counted as `graph.Cost` says, with "parameters" (10⁶)
        and "convolutions".
      title: the title of the column.
      digits: the number of decimals.
      is_cost: whether less is better.
    """

    key: str
    title: str
    digits: int = 2
    is_cost: bool = True


@dataclasses.dataclass(frozen=True, kw_only=True)
class Entry:
    """A published entry.

    Attributes:
      team: the team, or the name of a baseline.
      edition: the edition of the challenge that printed it.
      model: its name in the zoo; "" where the zoo has no such network.
      measures: the printed measures.
      score: the printed score; None where there is none.
      ranks: the printed ranks by the key of the measure.
    """

    team: str
    edition: str
    model: str = ""
    measures: Measures
    score: float | None = None
    ranks: Mapping[str, int] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Baseline:
    """The entry that the last column of a challenge's table compares with.

    Attributes:
      team: its team among the published entries.
      model: its name for `upscale.load_upscaler`.
      title: the title of the column.
      equal: a function from the measures of an entry and of the baseline to the time with which the baseline
        would reach the entry's score.
      unit: the unit of that time.
    """

    team: str
    model: str
    title: str
    equal: Callable[[Measures, Measures], float]
    unit: str


@dataclasses.dataclass(frozen=True, kw_only=True)
class Challenge:
    """A challenge on super-resolution.

    Attributes:
      name: its name on a command line.
      title: its name in titles.
      edition: the edition of its entries.
      task: the task in a few words: scale factor, images, precision and device.
      report: the publication.
      scale: the scale factor.
      frame: (height, width) of the input that is timed.
      protocol: the protocol that measures quality.
      quality: a description of the quality that is measured.
      data: the images that the published figures were measured on.
      target: the described target on which entries were timed; "" where there is none.
      measures: the columns of its table.
      scoring: the function that computes the scores; None where the challenge has no score.
      best: whether the highest or the lowest score wins.
      entries: the published entries that are known here.
      baseline: the entry that others are compared with; None where there is none.
      gate: tells whether measures reach the quality that is demanded; None where none is.
      gate_rule: that quality in words.
      correlated: the keys of the measures whose correlation with time its report prints.
    """

    name: str
    title: str
    edition: str
    task: str
    report: str
    scale: int
    frame: tuple[int, int]
    protocol: Protocol
    quality: str
    data: str
    target: str
    measures: tuple[Measure, ...]
    scoring: Scoring | None
    best: Literal["highest", "lowest"] = "highest"
    entries: tuple[Entry, ...] = ()
    baseline: Baseline | None = None
    gate: Callable[[Measures], bool] | None = None
    gate_rule: str = ""
    correlated: tuple[str, ...] = ()

    def score_all(self, table: Sequence[Measures]) -> Sequence[float | None]:
        """Returns the score of each entry of a table; None where the challenge has none."""
        return self.scoring(table) if self.scoring else [None] * len(table)

    @property
    def takes_niqe(self) -> bool:
        """Whether quality is NIQE, for which the images of a set are upscaled as they are."""
        return any(measure.key == "niqe" for measure in self.measures)

    def score(self, measures: Measures) -> float | None:
        """Returns the score of one entry alone, which must not depend on ranks."""
        (found,) = self.score_all([measures])
        return found

    def correlate(self, table: Sequence[Measures]) -> dict[str, float]:
        """Returns Spearman's rank correlation of time with each measure of `correlated`, by key.

        Measures that no entry has are left out, and so are entries that lack one of the others. Equal values
        have the mean of their ranks. The result is empty where fewer than three entries remain.
        """
        from scipy.stats import spearmanr

        keys = [key for key in self.correlated if any(key in row for row in table)]
        whole = [row for row in table if {"milliseconds", *keys} <= row.keys()]
        if len(whole) < 3:
            return {}
        times = [row["milliseconds"] for row in whole]
        return {key: float(spearmanr(times, [row[key] for row in whole]).statistic) for key in keys}


def score_each(score: Callable[[Measures], float]) -> Scoring:
    """Returns a scoring by which the score of an entry does not depend on other entries.

    Args:
      score: computes the score of one entry; a KeyError for an absent measure means that it has no score.
    """

    def score_all(table: Sequence[Measures]) -> list[float | None]:
        return [_score_or_none(score, measures) for measures in table]

    return score_all


def _score_or_none(score: Callable[[Measures], float], measures: Measures) -> float | None:
    try:
        return score(measures)
    except KeyError:
        return None
