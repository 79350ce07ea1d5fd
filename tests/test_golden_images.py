"""Official weights of Real-ESRGAN give the golden images, where somebody fetched both."""

import pathlib

import pytest

from benchmarks.golden import INPUT, compare

_FOLDER = pathlib.Path(__file__).resolve().parents[2] / "official"


def test_official_weights_give_the_golden_images():
    if not (_FOLDER / INPUT).is_file():
        pytest.skip(
            "needs the official weights and golden images in ../official (benchmarks.golden)"
        )
    for found in compare(_FOLDER):
        assert found.largest <= found.allowed, found
        assert found.equal > 0.88, found
