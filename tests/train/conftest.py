"""The pictures that runs of seconds train on."""

import pathlib

import pytest


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
