"""What a search found, as values and as text."""

import dataclasses
from collections.abc import Mapping

import ml_collections
import numpy as np

from sesr_jax.report import format_table
from sesr_jax.search.evolution import Individual
from sesr_jax.search.record import Result
from sesr_jax.search.space import Design, format_genome


@dataclasses.dataclass(frozen=True, kw_only=True)
class Found:
    """What a search found.

    Attributes:
      config: its config.
      individuals: all of them, in the order in which they were made.
      designs: by the number of an individual.
      results: by the key of a design.
      elite: the best individuals of different designs, the best first.
      refused: why designs were refused before they were trained, by their titles.
      long: the PSNR in dB after the long training, by the key of a design.
      tau: Kendall's rank correlation of the quick and the long PSNR; None for fewer than two networks.
    """

    config: ml_collections.ConfigDict
    individuals: tuple[Individual, ...]
    designs: Mapping[int, Design]
    results: Mapping[str, Result]
    elite: tuple[Individual, ...]
    refused: Mapping[str, str]
    long: Mapping[str, float] = dataclasses.field(default_factory=dict)
    tau: float | None = None

    def get_result(self, individual: Individual) -> Result | None:
        """Returns the result of an individual; None where it was not trained."""
        return None if individual.refusal else self.results.get(self.designs[individual.number].key)

    @property
    def candidates_per_hour(self) -> float:
        """How many candidates are trained in an hour of one worker."""
        seconds = [result.seconds for result in self.results.values()]
        return 3600 / float(np.mean(seconds)) if seconds else 0.0

    def list_rows(self) -> tuple[list[list[str]], list[str]]:
        """Returns the rows of a table of the elite, and its header."""
        header = ["number", "parameters", "MACs", "ms", "PSNR", "long PSNR", "design"]
        rows = []
        for one in self.elite:
            design = self.designs[one.number]
            if (result := self.get_result(one)) is None:
                continue
            costs = result.measures
            rows.append(
                [
                    f"#{one.number}",
                    f"{costs.params:,}",
                    f"{costs.macs / 1e9:.3f} G",
                    f"{costs.milliseconds:.3f}" if self.config.search.target else "–",
                    f"{result.psnr:.3f}",
                    f"{self.long[design.key]:.3f}" if design.key in self.long else "–",
                    design.title,
                ]
            )
        return rows, header

    def to_text(self) -> str:
        """Returns the table of the elite, the genome of the best, and what the quick score is worth."""
        rows, header = self.list_rows()
        lines = [format_table(rows, header, ">>>>>><")]
        lines.append(f"genome of the best: {format_genome(self.elite[0].genome)}")
        lines.append(self.summarise())
        return "\n".join(lines)

    def summarise(self) -> str:
        """Returns how many candidates there were, how fast they went, and Kendall's correlation."""
        failed = sum(bool(result.failure) for result in self.results.values())
        text = (
            f"{len(self.results)} candidates were trained, {self.candidates_per_hour:.0f} per hour of one "
            f"worker; {failed} failed, and {len(self.refused)} designs broke the bounds."
        )
        if self.tau is None:
            return text
        return (
            f"{text} Kendall's correlation of the PSNR after {self.config.steps:,} and after "
            f"{self.config.search.long.steps:,} steps is {self.tau:.2f}, over {len(self.long)} networks."
        )
