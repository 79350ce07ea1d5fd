"""A search by a config and a folder; the same call goes on after any end, to the same final population.

found = search(config, "runs/esr_ea_x2")
print(found.to_text())
"""

import json
import os
import pathlib
import shutil
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import ml_collections
import numpy as np
from tqdm import tqdm

from sesr_jax.errors import InputError
from sesr_jax.files import lock_folder
from sesr_jax.models import create
from sesr_jax.search.candidate import make_job, train_candidate
from sesr_jax.search.config import make_space, validate_search
from sesr_jax.search.evolution import (
    Individual,
    Rules,
    breed,
    compute_credits,
    repair,
    start_population,
)
from sesr_jax.search.found import Found
from sesr_jax.search.jobs import RunJobs
from sesr_jax.search.long import train_long
from sesr_jax.search.measures import Limits, make_limits
from sesr_jax.search.page import write_search_page
from sesr_jax.search.record import (
    Result,
    claim_folder,
    read_population,
    read_result,
    read_rungs,
    write_population,
    write_result,
    write_rung,
)
from sesr_jax.search.sorting import order_candidates
from sesr_jax.search.space import Design, Genome, Space, draw_genome, make_design, parse_genome
from sesr_jax.search.workers import keep_programs, open_workers

_PROGRAMS = "programs"

_TRIED = 2
"""When so many of the first individuals find no place within the bounds, a search ends."""

_UNRUN = 12
"""When the target runs none of so many genomes, a search ends."""

_MOST_REFUSED = 10_000
"""So many refused designs are kept with their reasons."""

CANDIDATES = "candidates"
"""The folder of the candidates, by the keys of their designs."""


def search(
    config: ml_collections.ConfigDict,
    folder: str | os.PathLike[str],
    *,
    progress: bool = True,
    say: Callable[[str], None] = print,
) -> Found:
    """Searches, or goes on searching, in `folder`.

    Args:
      config: as `search.base_search`.
      folder: gets everything; see `search.record`.
      progress: shows a progress bar.
      say: called with a line about what goes on.

    Raises:
      InputError: the config does not make sense, no genome keeps its bounds, its target refuses what every
        genome has, the data cannot be read, the folder holds another search, or there is no such cluster.
      Stopped: SIGTERM came; what was done is kept.
    """
    validate_search(config)
    space = make_space(config)
    if config.model.scale not in space.scales:
        raise InputError(
            f"config.model.scale is {config.model.scale}: the space {config.search.space!r} is searched at "
            f"×{', ×'.join(map(str, space.scales))}."
        )
    texts = (*config.search.start, *(space.seeds if config.search.seeds else ()))
    name = f"the space {config.search.space!r}"
    seeds = [parse_genome(space, text, name) for text in texts]
    limits = make_limits(config, space)
    folder = pathlib.Path(folder)
    with (
        lock_folder(folder),
        keep_programs(folder / _PROGRAMS),
        open_workers(config) as run_jobs,
    ):
        claim_folder(folder, config)
        evolution = _Evolution(config, space, limits, folder, run_jobs, say)
        evolution.start(seeds)
        evolution.run(progress)
        found = train_long(config, evolution.find(), folder, progress=progress)
        write_search_page(found, folder)
    return found


class _Evolution:
    """The generations of a search: what is known, and what is done next."""

    def __init__(
        self,
        config: ml_collections.ConfigDict,
        space: Space,
        limits: Limits,
        folder: pathlib.Path,
        run_jobs: RunJobs,
        say: Callable[[str], None],
    ) -> None:
        self._config, self._space, self._limits, self._folder = config, space, limits, folder
        self._run_jobs, self._say = run_jobs, say
        self._training = _make_training_config(config, space)
        found = config.search
        self._rules = Rules(
            num_individual=found.num_individual,
            num_elitism=found.num_elitism,
            mutation_rate=found.mutation_rate,
            selection=found.selection,
            tries=found.tries,
        )
        self.individuals, self.refused = read_population(folder, space)
        self.results: dict[str, Result] = {}

    def start(self, seeds: Sequence[Genome]) -> None:
        """Makes the first population, where there is none.

        Raises:
          InputError: the target runs none of some genomes, or none was found that keeps the bounds.
        """
        if self.individuals:
            return
        if len(seeds) > self._rules.num_individual:
            raise InputError(
                f"{len(seeds)} genomes are to begin in a population of config.search.num_individual = "
                f"{self._rules.num_individual}: there must be no more of them."
            )
        self._check_target(seeds)
        created = []
        for one in start_population(
            self._space, self._rules, seeds, self._check, self._config.seed
        ):
            created.append(one)
            if len(created) == _TRIED and all(made.refusal for made in created):
                raise InputError(
                    f"no genome of the space {self._config.search.space!r} was found that keeps the bounds, "
                    f"in {_TRIED} times {self._rules.tries:,} variations (of the last one, {one.refusal}): "
                    "config.search must leave room."
                )
        self.individuals = created
        write_population(self._folder, self.individuals, self.refused)

    def _check_target(self, seeds: Sequence[Genome]) -> None:
        """Refuses a target that runs none of some genomes."""
        rng = np.random.default_rng([self._config.seed, 0])
        for i in range(_UNRUN):
            genome = seeds[i] if i < len(seeds) else draw_genome(self._space, rng)
            genome, _ = repair(self._space, genome, self._rules, rng, {}, lambda _: "")
            found = self._limits.measure(self._design(genome))
            if not found.refusal:
                return
        raise InputError(
            f"config.search.target runs none of {_UNRUN} genomes of the space {self._config.search.space!r} "
            f"(of the last one, {found.refusal}): it must have the operators that the space needs."
        )

    def run(self, progress: bool) -> None:
        """Trains and breeds until all generations are done."""
        size, count = self._rules.num_individual, self._config.search.num_generation
        with tqdm(
            total=size * count, desc=f"search of {self._config.search.space}", disable=not progress
        ) as bar:
            for generation in range(count):
                if len(self.individuals) <= generation * size:
                    self._breed(generation)
                self._train(self.individuals[generation * size : (generation + 1) * size], bar)

    def find(self) -> Found:
        """Returns what was found."""
        size = self._rules.num_individual * self._config.search.num_generation
        individuals = self.individuals[:size]
        elite = self._order(individuals)[: self._rules.num_elitism]
        return Found(
            config=self._config,
            individuals=tuple(individuals),
            designs={one.number: self._design(one.genome) for one in individuals},
            results=self.results,
            elite=tuple(elite),
            refused=self.refused,
        )

    def _design(self, genome: Genome) -> Design:
        options = self._config.model.options.to_dict()
        return make_design(self._space, genome, self._config.model.scale, options)

    def _check(self, genome: Genome) -> str:
        design = self._design(genome)
        reason = self._limits.find_refusal(design)
        if reason and len(self.refused) < _MOST_REFUSED:
            self.refused.setdefault(design.title, reason)
        return reason

    def _score(self, individual: Individual) -> float:
        """Returns the PSNR, which is 0 for what failed or is infeasible."""
        result = self.results.get(self._design(individual.genome).key)
        return result.psnr if result and not individual.refusal else 0.0

    def _order(self, individuals: Sequence[Individual]) -> list[Individual]:
        """Returns the individuals of different designs, the best first; those without a score come last."""
        first: dict[str, Individual] = {}
        for one in individuals:
            first.setdefault(self._design(one.genome).key, one)
        scored = [one for one in first.values() if self._score(one) > 0]
        others = [one for one in first.values() if self._score(one) <= 0]
        order = order_candidates(self._list_points(scored)) if scored else []
        return [scored[i] for i in order] + others

    def _list_points(self, individuals: Sequence[Individual]) -> np.ndarray:
        """Returns ``[individuals, objectives]``, all of which are to be low."""
        rows = []
        for one in individuals:
            result = self.results[self._design(one.genome).key]
            rows.append(
                [
                    -result.psnr if name == "psnr" else getattr(result.measures, name)
                    for name in self._config.search.objectives
                ]
            )
        return np.array(rows, float)

    def _breed(self, generation: int) -> None:
        size = self._rules.num_individual
        order = self._order(self.individuals)
        elite = [one for one in order[: self._rules.num_elitism] if self._score(one) > 0]
        if not elite:
            raise InputError(
                f"all {len(self.individuals)} candidates failed: {self._list_failures()}; config.optim.lr "
                "must be lower, or config.search must leave room for others."
            )
        latest = [one for one in self.individuals[-size:] if self._score(one) > 0]
        pool = list({one.number: one for one in (*elite, *latest)}.values())
        several = len(self._config.search.objectives) > 1
        place = {one.number: -i for i, one in enumerate(order)}
        fitness = [
            (one, float(place.get(one.number, -len(order))) if several else self._score(one))
            for one in pool
        ]
        scored = [(one.genome, self._score(one)) for one in order if self._score(one) > 0]
        credit = compute_credits(self._space, scored) if self._config.search.credits else {}
        children = breed(
            self._space,
            self._rules,
            generation,
            elite,
            fitness,
            credit,
            self._check,
            self._config.seed,
        )
        self.individuals += children
        write_population(self._folder, self.individuals, self.refused)

    def _list_failures(self) -> str:
        reasons = [one.refusal for one in self.individuals if one.refusal]
        reasons += [result.failure for result in self.results.values() if result.failure]
        return "; ".join(list(dict.fromkeys(reasons))[:3])

    def _train(self, individuals: Sequence[Individual], bar: tqdm) -> None:
        """Trains those that are not trained yet, by successive halving where the config asks for it."""
        fresh = self._list_fresh(individuals)
        self._show(bar, len(individuals) - len(fresh))
        alive, steps = dict(fresh), self._config.steps
        for rung in range(self._config.search.halvings, -1, -1):
            per_call = self._config.steps_per_call
            until = steps // 2**rung // per_call * per_call
            outcomes = self._train_until(alive, until, bar)
            left = [key for key in alive if key not in self.results]
            ranked = sorted(left, key=lambda key: -outcomes[key]["psnr"])
            going = ranked[: -(-len(ranked) // 2)]
            for key in ranked[len(going) :]:
                self._keep(key, alive[key], outcomes[key], bar)
            alive = {key: alive[key] for key in left if key in going}

    def _list_fresh(self, individuals: Sequence[Individual]) -> dict[str, Individual]:
        """Returns those of a generation by the keys of their designs that no generation before it had."""
        before = self.individuals[: individuals[0].number]
        known = {self._design(one.genome).key for one in before if not one.refusal}
        fresh: dict[str, Individual] = {}
        for one in individuals:
            key = self._design(one.genome).key
            if key not in known and not one.refusal:
                fresh.setdefault(key, one)
        return fresh

    def _train_until(
        self, alive: Mapping[str, Individual], until: int, bar: tqdm
    ) -> dict[str, Mapping[str, Any]]:
        """Returns what becomes of candidates by step `until`, by key; what was done before is read.

        Those that are done by then are kept.
        """
        outcomes: dict[str, Mapping[str, Any]] = {}
        for key in alive:
            folder = self._get_folder(key)
            if until in (rungs := read_rungs(folder)):
                outcomes[key] = rungs[until]
            elif (known := read_result(folder)) and (until == self._config.steps or known.failure):
                outcomes[key] = known.outcome
                self._keep(key, alive[key], known.outcome, bar, known)
        jobs = {key: self._make_job(alive[key], until) for key in alive if key not in outcomes}
        for key, outcome in self._run_jobs(train_candidate, jobs):
            outcomes[key] = outcome
            if until == self._config.steps or outcome["failure"]:
                self._keep(key, alive[key], outcome, bar)
            else:
                write_rung(self._get_folder(key), until, outcome)
        return {key: outcomes[key] for key in alive}

    def _keep(
        self,
        key: str,
        one: Individual,
        outcome: Mapping[str, Any],
        bar: tqdm,
        known: Result | None = None,
    ) -> None:
        """Records the result of a candidate, `known` where it is read, whose checkpoints are not needed."""
        design, folder = self._design(one.genome), self._get_folder(key)
        self.results[key] = known or Result(
            **outcome,
            measures=self._limits.measure(design),
            model=design.model,
            options=dict(design.options),
        )
        if known is None:
            write_result(folder, self.results[key])
        shutil.rmtree(folder / "checkpoints", ignore_errors=True)
        if failure := self.results[key].failure:
            self._say(f"#{one.number} failed: {failure}")
        self._show(bar, 1)

    def _make_job(self, one: Individual, until: int) -> dict[str, Any]:
        design = self._design(one.genome)
        parent = None
        if self._config.search.inherit and one.parents:
            genome = self.individuals[one.parents[0]].genome
            parent = self._get_folder(self._design(genome).key)
        return make_job(
            self._training,
            design.options,
            self._get_folder(design.key),
            until=until,
            crop=self._config.search.crop,
            parent=parent,
            resumable=until < self._config.steps,
        )

    def _get_folder(self, key: str) -> pathlib.Path:
        return self._folder / CANDIDATES / key

    def _show(self, bar: tqdm, done: int) -> None:
        best = max(self.results.values(), key=lambda result: result.psnr, default=None)
        if best:
            bar.set_postfix_str(f"best {best.psnr:.2f} dB, {best.measures.params:,} parameters")
        bar.update(done)


def _make_training_config(
    config: ml_collections.ConfigDict, space: Space
) -> ml_collections.ConfigDict:
    """Returns the config of the candidates' training.

    Raises:
      InputError: the model of the space does not take the options that the config sets.
    """
    content = json.loads(config.to_json())
    del content["search"]
    content["model"]["name"] = space.model
    create(space.model, scale=config.model.scale, **config.model.options)
    return ml_collections.ConfigDict(content)
