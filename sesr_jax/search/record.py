"""What a search keeps in its folder, and how it is read again.

The folder holds ``config.json``; ``population.json``, all individuals with genomes and parents, and the
designs that were refused with the reasons; ``candidates/KEY/result.json`` beside the weights of each
candidate that was trained; and ``trained/KEY``, the runs of those that were trained long. Every file is
written whole or not at all, so that a search that was killed goes on from the last of them.
"""

import dataclasses
import json
import pathlib
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import ml_collections

from sesr_jax.errors import InputError
from sesr_jax.files import make_folder, write_file
from sesr_jax.schema import NOT_NEGATIVE, build
from sesr_jax.search.evolution import Individual, Origin
from sesr_jax.search.measures import Measures
from sesr_jax.search.space import Space, format_genome, parse_genome
from sesr_jax.untrusted import parse_json, read_text

_CONFIG, _POPULATION = "config.json", "population.json"
_RESULT, _RUNGS = "result.json", "rungs.json"

RECORDS = (_RESULT, _RUNGS)
"""The files in a candidate's folder that the search writes, and not the training."""

_MAY_CHANGE = ("num_generation", "long", "workers", "ray")
"""The settings of a search that may change when it goes on."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Result:
    """What became of a candidate.

    Attributes:
      psnr: on the images of ``config.data.eval``, in dB; 0 where the training failed.
      steps: of the quick training, fewer where successive halving ended it.
      seconds: that it took, compilation and evaluation included.
      failure: why it failed; "" if it did not.
      measures: what it costs.
      model: the model of the zoo.
      options: its options.
    """

    psnr: float
    steps: Annotated[int, NOT_NEGATIVE]
    seconds: Annotated[float, NOT_NEGATIVE]
    failure: str
    measures: Measures
    model: str
    options: Mapping[str, Any]

    @property
    def outcome(self) -> dict[str, Any]:
        """What `candidate.train_candidate` returned."""
        return {key: getattr(self, key) for key in ("psnr", "steps", "seconds", "failure")}


def claim_folder(folder: pathlib.Path, config: ml_collections.ConfigDict) -> None:
    """Writes the config into the folder, or checks that the search in it may go on with this config.

    Raises:
      InputError: the folder holds a search with other settings.
    """
    path = make_folder(folder) / _CONFIG
    content = json.loads(config.to_json())
    if path.exists():
        there = parse_json(read_text(path), str(path))
        mine, theirs = _flatten(content), _flatten(there)
        differing = [
            f"{key} ({theirs.get(key)!r} there, {mine.get(key)!r} here)"
            for key in sorted(mine.keys() | theirs.keys())
            if mine.get(key) != theirs.get(key)
            and not any(key.startswith(f"search.{one}") for one in _MAY_CHANGE)
        ]
        if differing:
            raise InputError(
                f"{folder} holds a search with other settings: {'; '.join(differing)}. A search goes on with "
                "the same settings; others need another --workdir."
            )
    write_file(path, json.dumps(content, indent=1))


def _flatten(content: Any, path: str = "") -> dict[str, Any]:
    if not isinstance(content, dict):
        return {path: content}
    found: dict[str, Any] = {}
    for key, value in content.items():
        found |= _flatten(value, f"{path}.{key}" if path else str(key))
    return found


def write_population(
    folder: pathlib.Path, individuals: Sequence[Individual], refused: Mapping[str, str]
) -> None:
    """Writes all individuals, and the genomes that were refused with the reasons."""
    content = {
        "individuals": [
            {**dataclasses.asdict(one), "genome": format_genome(one.genome)} for one in individuals
        ],
        "refused": dict(refused),
    }
    write_file(folder / _POPULATION, json.dumps(content, indent=1))


@dataclasses.dataclass(frozen=True)
class _Line:
    number: Annotated[int, NOT_NEGATIVE]
    generation: Annotated[int, NOT_NEGATIVE]
    genome: str
    origin: Origin
    parents: tuple[int, ...] = ()
    refusal: str = ""


@dataclasses.dataclass(frozen=True)
class _Population:
    individuals: tuple[_Line, ...]
    refused: Mapping[str, str]


def read_population(folder: pathlib.Path, space: Space) -> tuple[list[Individual], dict[str, str]]:
    """Returns what `write_population` wrote; nothing where it has not.

    Raises:
      InputError: the file is damaged or of another space.
    """
    path = folder / _POPULATION
    if not path.exists():
        return [], {}
    content: _Population = build(_Population, parse_json(read_text(path), str(path)), str(path))
    individuals = []
    for i, line in enumerate(content.individuals):
        if line.number != i or not all(parent < i for parent in line.parents):
            raise InputError(f"{path} is damaged: individual {i} must come after its parents.")
        values = {field.name: getattr(line, field.name) for field in dataclasses.fields(line)}
        genome = _parse_any(space, line.genome, str(path))
        individuals.append(Individual(**{**values, "genome": genome}))
    return individuals, dict(content.refused)


def _parse_any(space: Space, text: str, where: str) -> Any:
    """Returns a genome, which may have fewer active genes than the space asks for."""
    return parse_genome(dataclasses.replace(space, min_active=0), text, f"{where}'s space")


def write_result(folder: pathlib.Path, result: Result) -> None:
    """Writes the result of the candidate in `folder`."""
    write_file(folder / _RESULT, json.dumps(dataclasses.asdict(result), indent=1))


def read_result(folder: pathlib.Path) -> Result | None:
    """Returns the result of the candidate in `folder`, or None before there is one.

    Raises:
      InputError: the file is damaged.
    """
    path = folder / _RESULT
    if not path.exists():
        return None
    found: Result = build(Result, parse_json(read_text(path), str(path)), str(path))
    return found


def write_rung(folder: pathlib.Path, until: int, outcome: Mapping[str, Any]) -> None:
    """Writes what had become of a candidate at step `until`, at which successive halving ranked it."""
    rungs = {str(step): found for step, found in read_rungs(folder).items()}
    write_file(folder / _RUNGS, json.dumps({**rungs, str(until): dict(outcome)}, indent=1))


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Outcome:
    psnr: float
    steps: Annotated[int, NOT_NEGATIVE]
    seconds: Annotated[float, NOT_NEGATIVE]
    failure: str


def read_rungs(folder: pathlib.Path) -> dict[int, dict[str, Any]]:
    """Returns what `write_rung` wrote, by the step.

    Raises:
      InputError: the file is damaged.
    """
    path = folder / _RUNGS
    if not path.exists():
        return {}
    content = build(Mapping[str, _Outcome], parse_json(read_text(path), str(path)), str(path))
    return {
        int(step): dataclasses.asdict(found) for step, found in content.items() if step.isdecimal()
    }
