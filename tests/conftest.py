"""Fixtures that every part of the tests shares."""

import pathlib

import pytest

_SHARED = pathlib.Path(__file__).resolve().parents[2] / "shared"


@pytest.fixture(scope="session")
def shared() -> pathlib.Path:
    """The folder of benchmark images and vendors' tables beside the checkout, which few machines have."""
    if not _SHARED.is_dir():
        pytest.skip("needs the benchmark images and vendors' tables beside the checkout")
    return _SHARED
