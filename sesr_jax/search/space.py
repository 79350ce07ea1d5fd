"""What is searched: a space says what a genome is, how it varies, and which network it makes.

    space = find_space("esrn")(min_active=4, node_num=6)
    genome = draw_genome(space, np.random.default_rng(0))
    options = space.express(read_values(space, genome))     # of the model `space.model`

A genome is a tuple of genes, and a gene is a tuple of integers: whether it is active, and the index of the
value of each of its letters. Every function is pure; the generator of random numbers decides.
"""

import dataclasses
import hashlib
import json
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from sesr_jax.errors import InputError

Genome = tuple[tuple[int, ...], ...]

Credits = Mapping[str, float]
"""By the values of letters, a factor on the probability with which they are drawn; 1 for those not in it."""

Values = tuple[tuple[str, ...] | None, ...]
"""The values of the letters of each gene; None for a gene that is not active."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Letter:
    """A part of a gene.

    Attributes:
      values: what it can be.
      weights: the probabilities of the values, not normalised; equal where empty.
    """

    values: tuple[str, ...]
    weights: tuple[float, ...] = ()


@dataclasses.dataclass(frozen=True, kw_only=True)
class Gene:
    """A gene of a space.

    Attributes:
      letters: what it consists of.
      optional: whether it may be inactive.
    """

    letters: tuple[Letter, ...]
    optional: bool = False


def vary_letters(
    space: "Space", genome: Genome, rate: float, rng: np.random.Generator, credit: Credits
) -> Genome:
    """Returns `genome` with each letter of an active gene drawn anew with the probability `rate`."""
    return tuple(
        (
            found[0],
            *(
                draw_letter(letter, rng, credit) if found[0] and rng.random() < rate else index
                for letter, index in zip(gene.letters, found[1:], strict=True)
            ),
        )
        for gene, found in zip(space.genes, genome, strict=True)
    )


@dataclasses.dataclass(frozen=True, kw_only=True)
class Space:
    """A space of networks.

    Attributes:
      model: the model of the zoo that all genomes make, by its options.
      scales: the scale factors that are searched.
      genes: the genes of a genome.
      express: returns the model's options from the values of a genome.
      min_active: the least number of active genes.
      options: the model's options that are the same in all genomes, as far as the config sets no others.
      count_parameters: returns the parameters by options and scale factor, without tracing; None where that
        is not known. It spares most traces where a window of parameters is asked for.
      seeds: genomes that begin in the first population, as `format_genome` writes them.
      vary: returns a varied genome; see `vary_letters`.
    """

    model: str
    scales: tuple[int, ...]
    genes: tuple[Gene, ...]
    express: Callable[[Values], Mapping[str, Any]]
    min_active: int = 0
    options: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    count_parameters: Callable[[Mapping[str, Any], int], int] | None = None
    seeds: tuple[str, ...] = ()
    vary: Callable[["Space", Genome, float, np.random.Generator, Credits], Genome] = vary_letters


@dataclasses.dataclass(frozen=True, kw_only=True)
class Design:
    """A network that a genome makes: a model of the zoo and its options.

    Attributes:
      model: a model of the zoo.
      scale: the scale factor.
      options: the options of the model.
    """

    model: str
    scale: int
    options: Mapping[str, Any]

    @property
    def key(self) -> str:
        """A name that equal designs share, and no others."""
        text = json.dumps([self.model, self.scale, dict(self.options)], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:12]

    @property
    def title(self) -> str:
        """The options as text."""
        return ", ".join(f"{key}={value}" for key, value in self.options.items())


def make_design(
    space: Space, genome: Genome, scale: int, options: Mapping[str, Any] | None = None
) -> Design:
    """Returns the design that `genome` makes; `options` of the config override those of the space."""
    found = {**space.options, **(options or {}), **space.express(read_values(space, genome))}
    return Design(model=space.model, scale=scale, options=found)


def draw_letter(letter: Letter, rng: np.random.Generator, credit: Credits) -> int:
    """Returns the index of a random value of `letter`."""
    weights = letter.weights or (1.0,) * len(letter.values)
    chances = np.array(
        [w * credit.get(value, 1.0) for w, value in zip(weights, letter.values, strict=True)]
    )
    return int(rng.choice(len(chances), p=chances / chances.sum()))


def draw_genome(space: Space, rng: np.random.Generator) -> Genome:
    """Returns a random genome; an optional gene is active with the probability 0.5."""
    return tuple(
        (
            int(rng.integers(2)) if gene.optional else 1,
            *(draw_letter(letter, rng, {}) for letter in gene.letters),
        )
        for gene in space.genes
    )


def flip_genes(space: Space, genome: Genome, rate: float, rng: np.random.Generator) -> Genome:
    """Returns `genome` where each optional gene turns active or inactive with the probability `rate`."""
    return tuple(
        (1 - found[0] if gene.optional and rng.random() < rate else found[0], *found[1:])
        for gene, found in zip(space.genes, genome, strict=True)
    )


def count_active(genome: Genome) -> int:
    """Returns the number of active genes."""
    return sum(gene[0] for gene in genome)


def read_values(space: Space, genome: Genome) -> Values:
    """Returns the values of the letters of each gene."""
    return tuple(
        tuple(letter.values[i] for letter, i in zip(gene.letters, found[1:], strict=True))
        if found[0]
        else None
        for gene, found in zip(space.genes, genome, strict=True)
    )


def format_genome(genome: Genome) -> str:
    """Returns a genome as text, such as "1.17 0.3": one word per gene."""
    return " ".join(".".join(map(str, gene)) for gene in genome)


def parse_genome(space: Space, text: str, name: str = "this space") -> Genome:
    """Returns the genome that `format_genome` wrote as `text`.

    Raises:
      InputError: it is no genome of the space, which messages call `name`.
    """
    words = text.split()
    if len(words) != len(space.genes):
        raise InputError(
            f"the genome {text!r} has {len(words)} genes: one of {name} has {len(space.genes)}."
        )
    genome = []
    for word, gene in zip(words, space.genes, strict=True):
        sizes = [2, *(len(letter.values) for letter in gene.letters)]
        found = [int(part) if part.isdecimal() else -1 for part in word.split(".")]
        fits = len(found) == len(sizes) and all(
            0 <= one < size for one, size in zip(found, sizes, strict=True)
        )
        if not fits or not (found[0] or gene.optional):
            raise InputError(
                f"the gene {word!r} is none of {name}: it must be {len(sizes)} numbers with dots between, "
                f"below {', '.join(map(str, sizes))}{'' if gene.optional else ', and the first 1'}."
            )
        genome.append(tuple(found))
    if count_active(tuple(genome)) < space.min_active:
        raise InputError(
            f"the genome {text!r} has {count_active(tuple(genome))} active genes: one of {name} has "
            f"{space.min_active} or more."
        )
    return tuple(genome)
