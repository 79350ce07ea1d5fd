"""A tiny training, whose weights are compared between devices; `benchmarks.accelerator` calls it.

python -m benchmarks.accelerator_tiny weights.json
"""

import json
import pathlib
import sys
from typing import Any

import jax
import numpy as np

from sesr_jax.data import ImagePair, PoolFeed, make_pool
from sesr_jax.files import replace_file
from sesr_jax.models import network
from sesr_jax.train import Stage, base, fit, make_supervised

_STEPS = 20


def main() -> None:
    """Trains a small SESR for some steps on a made image, and writes losses and weights to the file named."""
    sizes = {"blocks": 1, "features": 8, "expansion": 16}
    net = network.init("sesr_m3", scale=2, key=jax.random.key(0), **sizes)
    trainer = make_supervised(net.module, base())
    y, x = np.mgrid[:64, :80]
    waves = np.uint8(127.5 + 127.5 * np.sin(y * x / 200))
    pool = make_pool([ImagePair(name="waves", hr=waves)], scale=2, patch=16)
    feed = PoolFeed(pool=pool, batch=8)
    losses: list[float] = []
    stage = Stage(trainer=trainer, read_feed=lambda: feed, steps=_STEPS, steps_per_call=5)
    state = fit(
        [stage],
        lambda: trainer.init(net.variables),
        report=lambda step, values: losses.append(values["loss"]),
    )
    content = {
        "device": jax.devices()[0].device_kind,
        "losses": losses,
        "first_weights": _flatten(net.variables),
        "weights": _flatten(trainer.get_deployed(state)),
    }
    with replace_file(pathlib.Path(sys.argv[1])) as temporary:
        temporary.write_text(json.dumps(content), encoding="utf-8")


def _flatten(variables: Any) -> list[float]:
    leaves = [np.asarray(leaf, np.float64).ravel() for leaf in jax.tree.leaves(variables)]
    return np.concatenate(leaves).tolist()


if __name__ == "__main__":
    main()
