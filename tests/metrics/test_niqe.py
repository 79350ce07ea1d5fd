"""NIQE equals its definition, computed slowly, and MATLAB's figure where the parameters are at hand."""

import math
import pathlib

import numpy as np
import pytest

from sesr_jax.data import imresize, read_image, rgb_to_y
from sesr_jax.errors import InputError
from sesr_jax.metrics import NiqeModel, niqe, read_niqe_model

_FOLDER = pathlib.Path(__file__).resolve().parents[3] / "official"


def _fit(values):
    """The shape whose ratio of moments is nearest, out of all; then the scales."""
    shapes = np.arange(0.2, 10.001, 0.001)
    gamma = np.vectorize(math.gamma)
    ratios = gamma(2 / shapes) ** 2 / (gamma(1 / shapes) * gamma(3 / shapes))
    left, right = (np.sqrt(np.mean(values[side] ** 2)) for side in (values < 0, values > 0))
    skew = left / right
    ratio = np.mean(np.abs(values)) ** 2 / np.mean(values**2)
    ratio *= (skew**3 + 1) * (skew + 1) / (skew**2 + 1) ** 2
    shape = shapes[np.argmin((ratios - ratio) ** 2)]
    factor = math.sqrt(math.gamma(1 / shape) / math.gamma(3 / shape))
    return shape, left * factor, right * factor


def _measure(block):
    shape, left, right = _fit(block)
    features = [shape, (left + right) / 2]
    for shift in ((0, 1), (1, 0), (1, 1), (1, -1)):
        shape, left, right = _fit(block * np.roll(block, shift, (0, 1)))
        mean = (right - left) * math.gamma(2 / shape) / math.gamma(1 / shape)
        features += [shape, mean, left, right]
    return features


def _niqe(image, model):
    window = np.exp(-(np.arange(-3, 4) ** 2) / (2 * (7 / 6) ** 2))
    window = np.outer(window, window) / window.sum() ** 2

    def blur(plane):
        padded = np.lib.stride_tricks.sliding_window_view(np.pad(plane, 3, "edge"), (7, 7))
        return np.einsum("hwij,ij->hw", padded, window)

    height, width = (n // 96 for n in image.shape[:2])
    luma = np.round(255 * rgb_to_y(image / 255)[: 96 * height, : 96 * width, 0])
    parts = []
    for side in (96, 48):
        mean = blur(luma)
        flat = (luma - mean) / (np.sqrt(np.abs(blur(luma**2) - mean**2)) + 1)
        starts = [(side * i, side * j) for j in range(width) for i in range(height)]
        parts.append([_measure(flat[top : top + side, left : left + side]) for top, left in starts])
        luma = 255 * imresize(luma / 255, 0.5)
    table = np.concatenate(parts, axis=1)
    apart = model.mean - table.mean(0)
    spread = (model.covariance + np.cov(table, rowvar=False)) / 2
    return math.sqrt(apart @ np.linalg.pinv(spread) @ apart)


def test_niqe_is_its_definition():
    rng = np.random.default_rng(0)
    image = np.cumsum(rng.normal(size=(200, 300, 3)), axis=1) * 10 + 128
    image = np.clip(image, 0, 255).astype(np.uint8)
    root = rng.normal(size=(36, 36))
    model = NiqeModel(mean=rng.normal(size=36), covariance=root @ root.T + np.eye(36))
    assert niqe(image, model) == pytest.approx(_niqe(image, model), rel=1e-6)


def test_images_without_two_blocks_of_texture_are_refused():
    model = NiqeModel(mean=np.zeros(36), covariance=np.eye(36))
    for image in (
        np.zeros((200, 200), np.uint8),
        np.ones((100, 191, 3), np.uint8),
        np.ones((9, 9)),
    ):
        with pytest.raises(InputError, match="blocks"):
            niqe(image.astype(np.uint8), model)


def test_other_files_than_the_parameters_are_refused(tmp_path):
    np.savez(tmp_path / "a.npz", mu_pris_param=np.zeros((1, 36)), cov_pris_param=np.eye(35))
    with pytest.raises(InputError, match="36"):
        read_niqe_model(tmp_path / "a.npz")
    np.savez(tmp_path / "b.npz", other=np.zeros(3))
    with pytest.raises(InputError, match="mu_pris_param"):
        read_niqe_model(tmp_path / "b.npz")


def test_baboon_has_matlab_s_figure():
    if not (_FOLDER / "baboon.png").is_file():
        pytest.skip("needs niqe_pris_params.npz and baboon.png of BasicSR in ../official")
    model = read_niqe_model(_FOLDER / "niqe_pris_params.npz")
    assert niqe(read_image(_FOLDER / "baboon.png"), model) == pytest.approx(5.72957338, abs=2e-6)
