"""What a challenge is: a task, how entries are measured and scored, and the rows that were published."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Literal

from sesr_jax.metrics import Protocol

Measures = Mapping[str, float]
"""What was measured of an entry, by `Measure.key`; a key is absent where that is not known."""

Scoring = Callable[[Sequence[Measures]], Sequence[float | None]]
"""From the measures of all entries of a table to their scores, since a score may be a rank or a sum of ranks.
An entry has none where a measure is absent that its score takes, or where it breaks a rule."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Measure:
    """A column of a challenge's table.

    Attributes:
      key: of `Measures`; "psnr" (dB) and "ssim" are of the challenge's protocol, "milliseconds" of its frame.
      title: what the column is called.
      digits: behind the point.
    """

    key: str
    title: str
    digits: int = 2


@dataclasses.dataclass(frozen=True, kw_only=True)
class Entry:
    """A row that was published.

    Attributes:
      team: who entered, or the name of a baseline.
      edition: of the challenge that printed it.
      model: of the zoo, where it has the network; "" elsewhere.
      measures: as printed.
      score: as printed; None where it was not.
    """

    team: str
    edition: str
    model: str = ""
    measures: Measures
    score: float | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class Baseline:
    """What the last column of a challenge's table compares with.

    Attributes:
      team: of its entry among the published ones.
      model: its name as a model, as `upscale.load_upscaler` takes it.
      title: of the column that compares.
      equal: from the measures of an entry and of the baseline to the time in which the baseline would have
        the entry's score.
      unit: of that.
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
      name: how a command line names it.
      title: for people.
      edition: as its entries have it.
      task: what is to be upscaled, in what precision and on what, in a few words.
      report: who published it.
      scale: the scale factor.
      frame: (height, width) of the input that is timed.
      protocol: by which quality is measured.
      quality: what that is, in words.
      data: the images that the published figures are of.
      target: the NPU that is described here, on which entries were timed; "" where there is none.
      measures: the columns of its table.
      scoring: gives the scores.
      best: whether the highest or the lowest score wins.
      entries: the published rows, as far as they are known here.
      baseline: None where there is none.
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
    scoring: Scoring
    best: Literal["highest", "lowest"] = "highest"
    entries: tuple[Entry, ...] = ()
    baseline: Baseline | None = None

    def score(self, measures: Measures) -> float | None:
        """The score of one entry alone, where no rank is part of it."""
        (found,) = self.scoring([measures])
        return found


def score_each(score: Callable[[Measures], float]) -> Scoring:
    """Returns the scoring by which an entry's score depends on no other entry.

    Args:
      score: of one entry; a KeyError, where it finds a measure absent, leaves the entry without a score.
    """

    def score_all(table: Sequence[Measures]) -> list[float | None]:
        return [_try(score, measures) for measures in table]

    return score_all


def _try(score: Callable[[Measures], float], measures: Measures) -> float | None:
    try:
        return score(measures)
    except KeyError:
        return None
