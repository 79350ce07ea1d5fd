"""What runs of seconds train on, and their config."""

import pathlib

import ml_collections
import pytest

from sesr_jax import train


@pytest.fixture(scope="session")
def photos(tmp_path_factory) -> pathlib.Path:
    """A folder of two crops of a real photo, so that a run reads little."""
    from skimage import data

    from sesr_jax.data import write_image

    folder = tmp_path_factory.mktemp("photos")
    image = data.astronaut()
    for i in range(2):
        write_image(folder / f"{i}.png", image[100 * i : 100 * i + 96, 60 * i : 60 * i + 120])
    return folder


@pytest.fixture
def config(photos) -> ml_collections.ConfigDict:
    """A config of seconds."""
    made = train.base()
    made.model.update(name="sesr_m3", scale=2)
    made.model.options = ml_collections.ConfigDict({"expansion": 8, "blocks": 1})
    made.data.update(train=str(photos), eval=str(photos), patch=16, batch=4)
    made.ema = 0.9
    made.update(steps=8, steps_per_call=2, eval_every=4, checkpoint_every=2)
    return made
