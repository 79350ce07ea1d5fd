"""What each protocol gives an upscaler and how it counts: grey files, rounding, borders, shipped LR."""

import dataclasses
import math

import numpy as np
import pytest

from sesr_jax.data.colour import rgb_to_y
from sesr_jax.data.resize import imresize, make_low_resolution
from sesr_jax.data.sources import ImagePair
from sesr_jax.errors import InputError
from sesr_jax.metrics.protocol import DEGRADED, PROTOCOLS, RGB, RGB8, Protocol, Y


def codes(*shape, seed=0):
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


_BICUBIC = [protocol for protocol in PROTOCOLS.values() if protocol.low == "bicubic"]

COLOUR = ImagePair(name="colour", hr=codes(50, 41, 3))
GREY = ImagePair(name="grey", hr=codes(50, 41))


@pytest.mark.parametrize("protocol", _BICUBIC, ids=lambda protocol: protocol.name)
@pytest.mark.parametrize("picture", [COLOUR, GREY], ids=["colour", "grey"])
@pytest.mark.parametrize("scale", [2, 3, 4])
def test_pairs_fit_and_the_reference_is_perfect(protocol, picture, scale):
    low, reference = protocol.pair(picture, scale)
    channels = {"y": 1, "rgb": 3}[protocol.domain]
    assert low.dtype == np.float32
    assert low.shape == (50 // scale, 41 // scale, channels)
    assert reference.shape == (50 // scale * scale, 41 // scale * scale, channels)
    assert reference.dtype == np.uint8
    assert protocol.score(reference / 255, reference, scale) == {"psnr": math.inf, "ssim": 1}


def test_names():
    assert all(protocol.name == name for name, protocol in PROTOCOLS.items())


def test_y_is_luma_first_without_rounding_afterwards():
    low, reference = Y.pair(COLOUR, 2)
    luma = np.round(rgb_to_y(COLOUR.hr[:, :40] / 255) * 255)
    np.testing.assert_array_equal(reference, luma)
    np.testing.assert_allclose(low, imresize(luma / 255, 0.5), atol=1e-7)


def test_the_rgb_protocols_are_8_bit_down():
    for protocol in (RGB8, RGB):
        low, reference = protocol.pair(COLOUR, 2)
        np.testing.assert_allclose(low * 255, make_low_resolution(COLOUR.hr, 2), atol=1e-5)
        np.testing.assert_array_equal(reference, COLOUR.hr[:, :40])


def test_a_degraded_low_resolution_depends_on_the_name_alone():
    low, reference = DEGRADED.pair(COLOUR, 2)
    assert (low.shape, low.dtype) == ((25, 20, 3), np.float32)
    np.testing.assert_array_equal(reference, COLOUR.hr[:, :40])
    shipped = dataclasses.replace(COLOUR, lr=codes(25, 20, 3, seed=1))
    np.testing.assert_array_equal(DEGRADED.pair(shipped, 2)[0], low)
    other = dataclasses.replace(COLOUR, name="other")
    assert (DEGRADED.pair(other, 2)[0] != low).mean() > 0.5


def test_shipped_low_resolutions_serve_the_rgb_protocols_alone():
    shipped = dataclasses.replace(COLOUR, lr=codes(25, 20, 3, seed=1))
    np.testing.assert_array_equal(Y.pair(shipped, 2)[0], Y.pair(COLOUR, 2)[0])
    np.testing.assert_allclose(RGB8.pair(shipped, 2)[0] * 255, shipped.lr, atol=1e-5)
    with pytest.raises(InputError, match=r"\(25, 20\).* 1/3"):
        RGB8.pair(shipped, 3)


def test_the_grey_rule():
    plane = GREY.hr[:, :40, None]
    np.testing.assert_array_equal(Y.pair(GREY, 2)[1], plane)
    np.testing.assert_array_equal(RGB8.pair(GREY, 2)[1], np.repeat(plane, 3, axis=-1))
    replicated = dataclasses.replace(Y, grey="rgb").pair(GREY, 2)[1]
    np.testing.assert_array_equal(replicated, np.floor(16.5 + 219 * (plane / 255)))


@pytest.mark.parametrize("protocol", _BICUBIC, ids=lambda protocol: protocol.name)
def test_bands_give_the_scores_of_the_whole(protocol, monkeypatch):
    def measure():
        low, reference = protocol.pair(COLOUR, 2)
        noise = np.random.default_rng(1).normal(0, 0.05, reference.shape)
        output = (reference / 255 + noise).astype(np.float32)
        return low, reference, protocol.score(output, reference, 2)

    low, reference, scores = measure()
    monkeypatch.setattr("sesr_jax.metrics.protocol._WHOLE", 100)
    monkeypatch.setattr("sesr_jax.metrics.protocol._BAND", 17 * 40 * reference.shape[2])
    monkeypatch.setattr("sesr_jax.data.resize._ROWS", 7)
    low_in_bands, reference_in_bands, scores_in_bands = measure()
    np.testing.assert_array_equal(low_in_bands, low)
    np.testing.assert_array_equal(reference_in_bands, reference)
    assert scores_in_bands == pytest.approx(scores, rel=1e-12)


def test_the_grey_rule_is_worth_219_of_255_of_contrast():
    reference = np.full((30, 30, 1), 100 / 255)
    error = np.where(np.arange(30)[:, None, None] % 2, 102, 98) / 255 * np.ones((1, 30, 1))
    as_luma = Y.score(error, reference, 2)["psnr"]
    as_rgb = RGB8.score(np.repeat(error, 3, -1), np.repeat(reference, 3, -1), 2)["psnr"]
    assert as_rgb - as_luma == pytest.approx(20 * math.log10(255 / 219))


def test_the_output_is_clipped_and_rounded():
    reference = np.where(np.arange(900).reshape(30, 30, 1) % 2, 1.0, 0.0)
    assert Y.score(reference * 3 - 1, reference, 2)["psnr"] == math.inf
    assert Y.score(reference + 0.4 / 255, reference, 2)["psnr"] == math.inf
    assert Y.score(reference + 0.6 / 255, reference, 2)["psnr"] < math.inf


@pytest.mark.parametrize(("shave", "border"), [("scale", 4), (0, 0), (1, 1)])
def test_the_border_does_not_count(shave, border):
    protocol = Protocol(name="test", domain="rgb", channel="rgb", shave=shave)
    reference = np.full((40, 40, 3), 0.2)
    outside = reference.copy()
    if border:
        outside[:border], outside[-border:], outside[:, :border], outside[:, -border:] = [1] * 4
    assert protocol.score(outside, np.floor(reference * 255 + 0.5) / 255, 4)["psnr"] == math.inf
    outside[border, border] = 1
    assert protocol.score(outside, np.floor(reference * 255 + 0.5) / 255, 4)["psnr"] < math.inf


def test_the_channel_that_is_compared():
    # A change of blue alone weighs 24.966/255 in luma.
    reference = np.full((30, 30, 3), 100 / 255)
    blue = reference + np.array([0, 0, 10 / 255])
    in_rgb, in_y = (p.score(blue, reference, 2)["psnr"] for p in (RGB, RGB8))
    assert in_rgb == pytest.approx(20 * math.log10(255 / 10 * math.sqrt(3)))
    assert in_y == pytest.approx(20 * math.log10(255 / 10 * 255 / 24.966))


@pytest.mark.parametrize(
    "fields",
    [
        {"domain": "y", "channel": "rgb"},
        {"domain": "rgb", "channel": "y", "grey": "luma"},
        {"domain": "y", "channel": "y", "low": "degraded"},
    ],
)
def test_contradictions(fields):
    with pytest.raises(InputError, match=r"protocol test .*(rgb|luma|degraded)"):
        Protocol(name="test", **fields)


def test_bad_input():
    reference = np.zeros((20, 20, 1))
    with pytest.raises(InputError, match=r"\(10, 10, 1\).*\(20, 20, 1\).* y\."):
        Y.score(np.zeros((10, 10, 1)), reference, 2)
    with pytest.raises(InputError, match=r"\(10, 10, 1\).* 11 "):
        Y.score(reference, reference, 5)
    with pytest.raises(InputError, match=r"\(3, 3\)"):
        Y.pair(ImagePair(name="dot", hr=codes(3, 3)), 4)
