"""The page of a search: fitness by generation, the winner's family tree, and all candidates on one plane."""

import pathlib
from collections.abc import Sequence

import numpy as np

from sesr_jax.report import Block, Page, Paragraph, Plot, Scatter, Section, Table, write_page
from sesr_jax.search.evolution import Individual, list_ancestors
from sesr_jax.search.found import Found
from sesr_jax.search.sorting import sort_fronts
from sesr_jax.search.space import format_genome

PAGE = "index.html"
"""The name of the page in the folder of a search."""

_MOST = 60
"""The most rows of a family tree, and of the table of refused designs."""


def write_search_page(found: Found, folder: pathlib.Path) -> None:
    """Writes the page about `found` into `folder`.

    Raises:
      InputError: Matplotlib is not installed, or the file cannot be written.
    """
    write_page(make_search_page(found), folder / PAGE)


def make_search_page(found: Found) -> Page:
    """Returns the page about `found`."""
    config = found.config
    rows, header = found.list_rows()
    best: list[Block] = [Table(header, rows, "The elite, the best first.")]
    if found.elite:
        best.append(Paragraph(f"Genome of the best: {format_genome(found.elite[0].genome)}"))
    best.append(Paragraph(found.summarise()))
    sections = [
        Section("Best", best),
        Section("Generations", [_plot_generations(found)]),
        Section("Candidates", [_plot_plane(found)]),
        Section("Family of the best", [_tabulate_family(found)]),
    ]
    if len(found.long) > 1:
        sections.append(Section("Quick and long", [_plot_correlation(found)]))
    if found.refused:
        refused = [[title, reason] for title, reason in list(found.refused.items())[:_MOST]]
        caption = f"The first {len(refused)} of {len(found.refused)}; none of them was trained."
        sections.append(Section("Refused", [Table(["design", "reason"], refused, caption)]))
    failed = [
        [f"#{one.number}", result.failure]
        for one in found.individuals
        if (result := found.get_result(one)) and result.failure
    ]
    if failed:
        sections.append(Section("Failed", [Table(["number", "reason"], failed)]))
    search = config.search
    return Page(
        f"Search of the space {search.space}, ×{config.model.scale}",
        sections,
        lead=f"{search.num_generation} generations of {search.num_individual}; {config.steps:,} steps of "
        f"{config.data.batch} crops of {config.data.patch}×{config.data.patch} from {config.data.train} for "
        f"each candidate, measured on {config.data.eval}; objectives: {', '.join(search.objectives)}.",
    )


def _plot_generations(found: Found) -> Plot:
    """Returns the best PSNR so far, the mean and the best of each generation."""
    by_generation: dict[int, list[float]] = {}
    for one in found.individuals:
        result = found.get_result(one)
        if result and not result.failure:
            by_generation.setdefault(one.generation, []).append(result.psnr)
    numbers = sorted(by_generation)
    highest = [max(by_generation[n]) for n in numbers]
    lines = {
        "best so far": (numbers, list(np.maximum.accumulate(highest)) if highest else []),
        "best": (numbers, highest),
        "mean": (numbers, [float(np.mean(by_generation[n])) for n in numbers]),
    }
    return Plot(lines, x="generation", y="PSNR after the quick training in dB")


def _plot_plane(found: Found) -> Scatter:
    """Returns all candidates by what they cost, with the Pareto front."""
    timed = bool(found.config.search.target)
    trained: dict[str, Individual] = {}
    for one in found.individuals:
        result = found.get_result(one)
        if result and not result.failure:
            trained.setdefault(found.designs[one.number].key, one)
    places = []
    for key in trained:
        result = found.results[key]
        costs = result.measures
        places.append((costs.milliseconds if timed else float(costs.params), result.psnr))
    points = np.array([(cost, -psnr) for cost, psnr in places], float).reshape(-1, 2)
    front = set(sort_fronts(points)[0]) if places else set()
    named = {f"#{one.number}": places[i] for i, one in enumerate(trained.values()) if i in front}
    ordered = sorted(named.values())
    search = found.config.search
    return Scatter(
        points=named,
        lines={"Pareto front": ([x for x, _ in ordered], [y for _, y in ordered])},
        x=f"ms on {search.target}, {search.frame}" if timed else "parameters",
        y="PSNR after the quick training in dB",
        caption="Every candidate that was trained; no other one is both better and cheaper than a named one.",
        logarithmic="",
        unnamed=[place for i, place in enumerate(places) if i not in front],
    )


def _tabulate_family(found: Found) -> Table:
    """Returns the ancestors of the best, each behind the child through which it comes."""
    by_number = {one.number: one for one in found.individuals}
    family = list_ancestors(found.elite[0], by_number) if found.elite else []
    rows: list[Sequence[object]] = []
    for distance, one in family[:_MOST]:
        result = found.get_result(one)
        rows.append(
            [
                f"{'· ' * distance}#{one.number}",
                one.generation,
                one.origin,
                " ".join(f"#{parent}" for parent in one.parents) or "–",
                f"{result.psnr:.3f}" if result else "–",
                found.designs[one.number].title,
            ]
        )
    return Table(
        ["individual", "generation", "made by", "parents", "PSNR", "design"],
        rows,
        f"The family has {len(family)} members; each dot is a step back.",
    )


def _plot_correlation(found: Found) -> Scatter:
    numbers = {found.designs[one.number].key: f"#{one.number}" for one in found.individuals[::-1]}
    return Scatter(
        points={numbers[key]: (found.results[key].psnr, psnr) for key, psnr in found.long.items()},
        lines={},
        x=f"PSNR in dB after {found.config.steps:,} steps",
        y=f"after {found.config.search.long.steps:,} steps",
        logarithmic="",
    )
