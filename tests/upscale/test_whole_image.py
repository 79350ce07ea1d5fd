"""Networks that look at the whole image are evaluated at its true size and never tiled without a word."""

import dataclasses

import flax.linen as nn
import jax
import numpy as np
import pytest
from PIL import Image

from sesr_jax import ops
from sesr_jax.compare import measure
from sesr_jax.data import ImagePair, write_image
from sesr_jax.errors import InputError
from sesr_jax.export import Options, export_network
from sesr_jax.graph import Extent, measure_extent
from sesr_jax.metrics import NetworkEvaluator, Y
from sesr_jax.models import VARIANTS, network
from sesr_jax.models.registry import Variant
from sesr_jax.quant import calibrate
from sesr_jax.upscale import (
    Upscaler,
    bicubic_upscaler,
    from_network,
    in_domain,
    load_upscaler,
    measure_tiling_error,
    upscale_file,
    upscale_photo,
    with_assumed_halo,
)

SIZE = (23, 31)


class Global(nn.Module):
    """A 3×3 whose channels are scaled by what the whole image says of them, then moved to pixels."""

    scale: int = 2
    channels: int = 1
    mode: str = "collapsed"
    statistic: str = "mean"

    @nn.compact
    def __call__(self, x):
        def conv(y, name, side, features, **attrs):
            shape = (side, side, y.shape[-1], features)
            return ops.conv2d(y, self.param(name, nn.initializers.normal(0.3), shape), **attrs)

        y = conv(x, "kernel", 3, 4)
        if self.statistic == "mean":
            y = ops.mul(y, ops.sigmoid(ops.mean(y)))
        elif self.statistic == "esa":  # RFDN's attention (Liu et al. 2020, §3.3), but narrower
            narrow = conv(y, "narrow", 1, 3)
            z = conv(narrow, "strided", 3, 3, strides=(2, 2), padding="VALID")
            z = ops.max_pool(z, window=(7, 7), strides=(3, 3))
            z = conv(ops.relu(conv(z, "first", 3, 3)), "second", 3, 3)
            z = ops.add(ops.resize_like(z, y), conv(narrow, "shortcut", 1, 3))
            y = ops.mul(y, ops.sigmoid(conv(z, "wide", 1, 4)))
        else:
            deviation = ops.standard_deviation(y, unbiased=self.statistic == "unbiased")
            y = ops.mul(y, deviation)
        return ops.depth_to_space(y, block=2)


def _convolve(x, kernel, stride=1, same=True):
    """The cross-correlation of ``[h, w, in]``, in float64."""
    kernel, side = np.asarray(kernel, float), len(kernel)
    padded = np.pad(x, ((side // 2,) * 2,) * 2 + ((0, 0),)) if same else x
    windows = np.lib.stride_tricks.sliding_window_view(padded, (side, side), (0, 1))
    return np.einsum("hwcij,ijco->hwo", windows[::stride, ::stride], kernel)


def _interpolate(x, height, width):
    """PyTorch's bilinear interpolation with ``align_corners=False``."""
    for axis, after in enumerate((height, width)):
        before = x.shape[axis]
        place = np.clip((np.arange(after) + 0.5) * before / after - 0.5, 0, before - 1)
        low = np.floor(place).astype(int)
        high, weight = np.minimum(low + 1, before - 1), np.expand_dims(place - low, (1 - axis, 2))
        x = np.take(x, low, axis) * (1 - weight) + np.take(x, high, axis) * weight
    return x


def _gate(y, params):
    """What `Global`'s attention multiplies `y` by."""
    narrow = _convolve(y, params["narrow"])
    z = _convolve(narrow, params["strided"], stride=2, same=False)
    z = np.lib.stride_tricks.sliding_window_view(z, (7, 7), (0, 1))[::3, ::3].max((3, 4))
    z = _convolve(np.maximum(_convolve(z, params["first"]), 0), params["second"])
    z = _interpolate(z, *y.shape[:2]) + _convolve(narrow, params["shortcut"])
    return 1 / (1 + np.exp(-_convolve(z, params["wide"])))


def in_numpy(net, x):
    """The same network, ``[h, w, 1]`` to ``[2h, 2w, 1]``, in float64."""
    params, statistic = net.variables["params"], net.options["statistic"]
    height, width, _ = x.shape
    y = _convolve(x.astype(float), params["kernel"])
    factor = {
        "mean": lambda: 1 / (1 + np.exp(-y.mean((0, 1)))),
        "biased": lambda: y.std((0, 1)),
        "unbiased": lambda: y.std((0, 1), ddof=1),
        "esa": lambda: _gate(y, params),
    }[statistic]()
    blocks = (y * factor).reshape(height, width, 2, 2)
    return blocks.transpose(0, 2, 1, 3).reshape(2 * height, 2 * width, 1)


@pytest.fixture
def made(monkeypatch):
    """By statistic, a network of the kind."""
    monkeypatch.setitem(VARIANTS, "global", Variant(build=Global, scales=(2,), paper="a test"))

    def make(statistic="mean"):
        return network.init("global", scale=2, key=jax.random.key(0), statistic=statistic)

    return make


def _image(height, width):
    """A brightness that is another in every tile."""
    noise = np.random.default_rng(0).random((height, width, 1))
    return (noise * np.linspace(0, 1, width)[None, :, None]).astype(np.float32)


@pytest.mark.parametrize("size", [SIZE, (32, 45)])
@pytest.mark.parametrize("statistic", ["mean", "biased", "unbiased", "esa"])
def test_evaluation_is_that_of_numpy(made, tmp_path, statistic, size):
    """In training, and of a saved network as `sesr eval` measures it."""
    net, x = made(statistic), _image(*size)
    network.save(net, tmp_path / "m.safetensors")
    upscaler = load_upscaler(tmp_path / "m.safetensors")
    assert upscaler.extent.halo is None
    np.testing.assert_allclose(in_domain(upscaler, "y")(x), in_numpy(net, x), atol=1e-5)

    codes = np.random.default_rng(1).integers(0, 256, (2 * size[0], 2 * size[1]), np.uint8)
    write_image(tmp_path / "images" / "one.png", codes)
    pair = ImagePair(name="one", hr=codes)
    low, high = Y.pair(pair, 2)
    by_hand = Y.score(in_numpy(net, low), high, 2)
    (scores,) = measure(upscaler, [str(tmp_path / "images")], Y)
    assert scores.mean["psnr"] == pytest.approx(by_hand["psnr"], abs=1e-4)
    trained = NetworkEvaluator(net, [pair])(net.variables)
    assert trained["psnr"] == pytest.approx(by_hand["psnr"], abs=1e-4)


def test_tiles_are_refused_in_a_sentence_that_names_the_operation(made):
    upscaler = from_network(made())
    photo = np.zeros((40, 50, 3), np.uint8)
    with pytest.raises(InputError, match="'mean'") as refused:
        upscale_photo(upscaler, photo, tile=32)
    assert "32×32" in str(refused.value)
    assert upscale_photo(upscaler, photo).shape == (80, 100, 3)
    assert upscale_photo(upscaler, photo, tile=64).shape == (80, 100, 3)
    # The default is the whole image, however large.
    wide = np.zeros((4, 300, 3), np.uint8)
    assert upscale_photo(upscaler, wide).shape == (8, 600, 3)


def test_tiles_on_request_are_as_far_from_the_whole_as_they_say(made):
    upscaler = from_network(made())
    photo = np.repeat((255 * _image(40, 64)).astype(np.uint8), 3, axis=2)
    said = measure_tiling_error(upscaler, photo, 4, tile=32)
    tiled = upscale_photo(with_assumed_halo(upscaler, 4), photo, tile=32)
    whole = upscale_photo(upscaler, photo)
    apart = np.abs(tiled.astype(int) - whole)
    assert said.size == (40, 64)
    assert said.largest == apart.max() > 0
    assert said.psnr == pytest.approx(10 * np.log10(255**2 / np.mean(apart.astype(float) ** 2)))
    assert f"{said.largest} of 255" in str(said)
    assert measure_tiling_error(upscaler, photo[:20, :20], 4, tile=32).largest == 0


def test_a_halo_is_assumed_only_where_the_network_looks_further():
    with pytest.raises(InputError, match="2 pixels far"):
        with_assumed_halo(bicubic_upscaler(2), 4)
    assert with_assumed_halo(bicubic_upscaler(2), 1).extent.halo == 1


def test_a_network_that_looks_too_far_for_tiles_has_a_stated_halo(tmp_path):
    """Its real halo would leave nothing of a tile; what 32 pixels change is measured and said."""

    def look_far(x):
        far = np.roll(x, 40, axis=2)
        far[:, :, :40] = 0  # beyond the image
        return (x + far) / 2

    far = Upscaler(name="far", scale=1, channels=3, function=look_far, extent=Extent(halo=200))
    Image.effect_noise((400, 20), 60).convert("RGB").save(tmp_path / "a.png")
    Image.effect_noise((200, 20), 60).convert("RGB").save(tmp_path / "small.png")
    upscaled = upscale_file(far, tmp_path / "a.png", tmp_path / "b.png")
    assert upscaled.tiling_error.size == (20, 320)
    assert upscaled.tiling_error.largest > 0
    assert upscale_file(far, tmp_path / "small.png", tmp_path / "c.png").tiling_error is None
    near = dataclasses.replace(far, extent=Extent(halo=64))
    assert upscale_file(near, tmp_path / "a.png", tmp_path / "d.png").tiling_error is None


def test_files_are_run_whole_and_made_for_whole_images_alone(made, tmp_path):
    net, x = made(), _image(*SIZE)
    expected = in_numpy(net, x)
    options = Options(precision="float32")
    for file in ("m.onnx", "m.tflite"):
        export_network(net, tmp_path / file, size=SIZE, options=options)
        upscaler = load_upscaler(tmp_path / file)
        assert upscaler.extent.halo is None
        assert upscaler.extent.align == 1
        np.testing.assert_allclose(in_domain(upscaler, "y")(x), expected, atol=1e-5)
    with pytest.raises(InputError, match="'mean'"):
        export_network(net, tmp_path / "t.tflite", size=(48, 48), tile=(24, 24), options=options)
    fixed = load_upscaler(tmp_path / "m.tflite")
    with pytest.raises(InputError, match="40×30"):
        upscale_photo(fixed, np.zeros((30, 40, 3), np.uint8))


def test_ranges_are_measured_on_images_at_their_true_size(made):
    net, x = made(), _image(*SIZE)
    seen = calibrate(net.trace((1, 8, 8, 1)), [x[None]])
    y = in_numpy(net, x)
    assert measure_extent(net.trace((1, 8, 8, 1))).align == 1
    assert dataclasses.asdict(measure_extent(net.trace((1, *SIZE, 1))))["halo"] is None
    assert max(high for _, high in seen.values()) >= y.max() - 1e-5
