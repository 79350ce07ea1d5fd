"""The evolution of ESR-EA (Song et al., AAAI 2020): how one generation follows from those before.

All functions are pure: the same seed and scores give the same children, so that a search that was killed
goes on as if it had not been. Children that break a bound are varied further until they keep it.
"""

import dataclasses
import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Literal

import numpy as np

from sesr_jax.search.space import (
    Credits,
    Genome,
    Space,
    count_active,
    draw_genome,
    flip_genes,
    read_values,
)

Origin = Literal["seed", "random", "mutation", "crossover"]

Check = Callable[[Genome], str]
"""Returns why a genome may not be a candidate; "" where it may."""

_FLIP_EVERY = 25
"""After so many variations without success, genes also turn active or inactive."""

_SPREAD = 2.0
"""Credits lie between 1 / `_SPREAD` and `_SPREAD`."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Individual:
    """A genome with its history.

    Attributes:
      number: its place in the order in which individuals were made.
      generation: from 0.
      genome: see `Space`.
      origin: how it was made.
      parents: the numbers of its parents.
      refusal: why it breaks the bounds, if no variation was found that keeps them.
    """

    number: int
    generation: int
    genome: Genome
    origin: Origin
    parents: tuple[int, ...] = ()
    refusal: str = ""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Rules:
    """How children are made.

    Attributes:
      num_individual: of a generation.
      num_elitism: of the elite.
      mutation_rate: of each gene.
      selection: of the parents of a crossover, "roulette" or "tournament".
      tries: variations after which a child is given up.
    """

    num_individual: int
    num_elitism: int
    mutation_rate: float
    selection: str
    tries: int


def start_population(
    space: Space, rules: Rules, seeds: Sequence[Genome], check: Check, seed: int
) -> Iterator[Individual]:
    """Yields the first generation: `seeds`, then random genomes, varied until they keep the bounds.

    A seed that breaks the bounds is varied too.
    """
    for i in range(rules.num_individual):
        rng = np.random.default_rng([seed, 0, i])
        given = i < len(seeds)
        genome = seeds[i] if given else draw_genome(space, rng)
        genome, refusal = repair(space, genome, rules, rng, {}, check)
        origin: Origin = "seed" if given and genome == seeds[i] else "random"
        yield Individual(number=i, generation=0, genome=genome, origin=origin, refusal=refusal)


def breed(
    space: Space,
    rules: Rules,
    generation: int,
    elite: Sequence[Individual],
    pool: Sequence[tuple[Individual, float]],
    credit: Credits,
    check: Check,
    seed: int,
) -> list[Individual]:
    """Returns the next generation.

    About half are mutated copies of the elite, and the others come in pairs from the crossover of two
    selected parents.

    Args:
      space: the space.
      rules: how children are made.
      generation: its number.
      elite: the best individuals so far, the best first.
      pool: the individuals among which parents are selected, with their fitness, which is to be high.
      credit: see `Credits`.
      check: see `Check`.
      seed: of the search.
    """
    size = rules.num_individual
    start = generation * size
    mutated = size - size // 4 * 2
    made: list[tuple[Genome, Origin, tuple[int, ...], np.random.Generator]] = []
    for i in range(mutated):
        rng = np.random.default_rng([seed, generation, i])
        pick = i if size // 2 == len(elite) else int(rng.integers(len(elite)))
        parent = elite[pick % len(elite)]
        genome = flip_genes(space, parent.genome, rules.mutation_rate, rng)
        genome = space.vary(space, genome, rules.mutation_rate, rng, credit)
        made.append((genome, "mutation", (parent.number,), rng))
    for i in range(mutated, size, 2):
        rng = np.random.default_rng([seed, generation, i])
        one, other = select_pair([fitness for _, fitness in pool], rules.selection, rng)
        parents = pool[one][0], pool[other][0]
        pair = cross_segments(parents[0].genome, parents[1].genome, rng)
        numbers = tuple(parent.number for parent in parents)
        made += [(pair[0], "crossover", numbers, rng), (pair[1], "crossover", numbers[::-1], rng)]
    children = []
    for i, (genome, origin, numbers, rng) in enumerate(made):
        repaired, refusal = repair(space, genome, rules, rng, credit, check)
        children.append(
            Individual(
                number=start + i,
                generation=generation,
                genome=repaired,
                origin=origin,
                parents=numbers,
                refusal=refusal,
            )
        )
    return children


def repair(
    space: Space,
    genome: Genome,
    rules: Rules,
    rng: np.random.Generator,
    credit: Credits,
    check: Check,
) -> tuple[Genome, str]:
    """Returns `genome` or the first variation that keeps the bounds; else the last, and why it does not.

    Genes turn active until there are enough, and then letters are varied.
    """
    refusal = ""
    for attempt in range(rules.tries):
        while count_active(genome) < space.min_active:
            genome = flip_genes(space, genome, rules.mutation_rate, rng)
        if not (refusal := check(genome)):
            return genome, ""
        if attempt % _FLIP_EVERY == _FLIP_EVERY - 1:
            genome = flip_genes(space, genome, rules.mutation_rate, rng)
        genome = space.vary(space, genome, rules.mutation_rate, rng, credit)
    return genome, refusal


def cross_segments(one: Genome, other: Genome, rng: np.random.Generator) -> tuple[Genome, Genome]:
    """Returns two genomes that have exchanged a segment at a random place.

    Its length is drawn from a fifth of the genome, but 4 genes in the paper's genomes of 20, to half of it.
    """
    count = len(one)
    least = max(1, count // 5)
    length = int(rng.integers(least, max(least + 1, count // 2)))
    place = int(rng.integers(0, count - length + 1))
    end = place + length
    return (
        (*one[:place], *other[place:end], *one[end:]),
        (*other[:place], *one[place:end], *other[end:]),
    )


def select_pair(fitness: Sequence[float], how: str, rng: np.random.Generator) -> tuple[int, int]:
    """Returns the indices of two different parents, or twice the only one there is.

    By "roulette", the chances are in proportion to the fitness above the lowest; by "tournament", the fitter
    of two random ones is taken.
    """
    left = list(range(len(fitness)))
    if len(left) == 1:
        return 0, 0
    chosen = []
    for _ in range(2):
        values = np.array([fitness[i] for i in left], float)
        if how == "tournament":
            drawn = rng.choice(len(left), size=min(2, len(left)), replace=False)
            pick = int(max(drawn, key=lambda i: values[i]))
        else:
            chances = values - values.min()
            total = chances.sum()
            pick = int(rng.choice(len(left), p=chances / total if total > 0 else None))
        chosen.append(left.pop(pick))
    return chosen[0], chosen[1]


def compute_credits(space: Space, scored: Sequence[tuple[Genome, float]]) -> Credits:
    """Returns the credit of each value: how much fitter than the mean the candidates with it are.

    The paper lets the credits of blocks weigh the mutation and says that they are earned when candidates are
    evaluated; the formula is ours, since the authors' code has none. A value whose candidates are one
    standard deviation fitter than all is drawn twice as often, and in the other direction half as often.
    """
    if len(scored) < 2 or not (deviation := float(np.std([score for _, score in scored]))):
        return {}
    average = float(np.mean([score for _, score in scored]))
    earned: dict[str, list[float]] = {}
    for genome, score in scored:
        present = itertools.chain.from_iterable(gene or () for gene in read_values(space, genome))
        for value in set(present):
            earned.setdefault(value, []).append(score)
    return {
        value: float(_SPREAD ** np.clip((np.mean(scores) - average) / deviation, -1, 1))
        for value, scores in earned.items()
    }


def list_ancestors(
    individual: Individual, by_number: Mapping[int, Individual]
) -> list[tuple[int, Individual]]:
    """Returns the family tree of an individual, depth first, with the distance from it; each one once."""
    seen: set[int] = set()
    found: list[tuple[int, Individual]] = []

    def visit(one: Individual, distance: int) -> None:
        if one.number in seen:
            return
        seen.add(one.number)
        found.append((distance, one))
        for parent in one.parents:
            visit(by_number[parent], distance + 1)

    visit(individual, 0)
    return found
