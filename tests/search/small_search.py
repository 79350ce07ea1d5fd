"""A search that takes seconds, and what it leaves."""

import json

import numpy as np
from PIL import Image

from sesr_jax.search import base_search


def write_images(folder):
    """Writes an image of noise."""
    folder.mkdir(exist_ok=True)
    noise = np.random.default_rng(0).integers(0, 256, (40, 44, 3), np.uint8)
    Image.fromarray(noise).save(folder / "noise.png")
    return folder


def make_config(images, **settings):
    """Returns the config of the search; `settings` are those of `config.search`."""
    config = base_search()
    config.model.update(name="layered_sesr", scale=2)
    config.data.update(train=str(images), eval=str(images), patch=6, batch=2)
    config.update(steps=4, steps_per_call=2, eval_every=4, checkpoint_every=2)
    config.optim.name = "adam"
    config.search.update(
        space="sesr",
        seeds=False,
        frame="32x32",
        num_individual=4,
        num_generation=2,
        num_elitism=2,
        mutation_rate=0.3,
        tries=300,
        max_params=300.0,
        crop=32,
    )
    config.search.space_options = {
        "depth": 1,
        "min_depth": 0,
        "widths": (4,),
        "kernels": ("1x1", "2x2"),
        "ends": ("1x1", "3x3"),
        "activations": ("relu",),
        "forms": ("dense",),
    }
    config.search.update(settings)
    return config


def read_search(folder):
    """Returns the population and the results, without the seconds that candidates took."""
    population = json.loads((folder / "population.json").read_text())
    results = {}
    for path in sorted((folder / "candidates").glob("*/result.json")):
        results[path.parent.name] = json.loads(path.read_text())
        del results[path.parent.name]["seconds"]
    return population, results
