"""What was measured, as JSON: lists of plain values in which an infinite PSNR is null.

write_json(list_costs(measure_int8_cost(cases, ["Set5"], calibration, "runs/int8")), "scores.json")
"""

import json
import math
import os
from collections.abc import Mapping, Sequence
from typing import Any

from sesr_jax.challenges import Challenge
from sesr_jax.compare.int8 import Row
from sesr_jax.compare.leaderboard import Ours
from sesr_jax.compare.page import Measurement
from sesr_jax.files import write_file
from sesr_jax.metrics import Protocol
from sesr_jax.quant import Sensitivity


def list_quality(
    measured: Sequence[Measurement], models: Sequence[str], protocol: Protocol
) -> dict[str, Any]:
    """Returns the protocol's name and, for each model and set of images, the scores of every image.

    Args:
      measured: what was measured.
      models: as each was named, in the same order.
      protocol: by which they were measured.
    """
    results = [
        {
            "model": model,
            "scale": one.upscaler.scale,
            "macs": one.macs,
            "data": score.data,
            "mean": _without_infinity(score.mean),
            "images": {name: _without_infinity(of_it) for name, of_it in score.images.items()},
        }
        for model, one in zip(models, measured, strict=True)
        for score in one.scores
    ]
    return {"protocol": protocol.name, "results": results}


def list_costs(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """Returns, for each form of each network, the mean scores on each set and what its layers cost, in dB."""
    return [
        {
            "model": row.model,
            "form": row.form,
            **{score.data: _without_infinity(score.mean) for score in row.scores},
            **({"layers": [_list_values(one) for one in row.layers]} if row.layers else {}),
        }
        for row in rows
    ]


def _list_values(found: Sensitivity) -> dict[str, Any]:
    values = {"alone": found.alone, "won": found.won, "left": found.left}
    return {"name": found.part.name, "kind": found.part.kind, **_without_infinity(values)}


def list_entries(challenge: Challenge, ours: Sequence[Ours]) -> list[dict[str, Any]]:
    """Returns, for each of our entries, what was measured, by which clock, and the challenge's score."""
    entries = []
    for one in ours:
        score = challenge.score(one.measures)
        entry: dict[str, Any] = {
            "model": one.model,
            **_without_infinity(one.measures),
            "by": one.by,
            "score": None,
        }
        entries.append(entry if score is None else entry | _without_infinity({"score": score}))
    return entries


def write_json(content: Any, path: str | os.PathLike[str]) -> None:
    """Writes plain values as a JSON file, whole or not at all.

    Raises:
      InputError: `path` cannot be written.
    """
    write_file(path, json.dumps(content, indent=2, allow_nan=False))


def _without_infinity(values: Mapping[str, float]) -> dict[str, float | None]:
    """Returns `values` for JSON, which has no infinity: the PSNR of an exact copy becomes null."""
    return {key: value if math.isfinite(value) else None for key, value in values.items()}
