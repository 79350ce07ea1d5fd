"""The evaluator on the benchmarks' bicubic figures, on JAX upscalers and on bad input."""

import dataclasses
import itertools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from sesr_jax import ops
from sesr_jax.data.sources import ImagePair, open_source
from sesr_jax.errors import InputError
from sesr_jax.metrics.evaluate import NetworkEvaluator, bicubic, evaluate, mean
from sesr_jax.metrics.niqe import NiqeModel, niqe
from sesr_jax.metrics.protocol import MOBILE_AI, RGB, RGB8, Y
from sesr_jax.models.network import Network

# Bicubic PSNR in dB for ×2, ×3, ×4: the papers' figures since SRCNN (Dong et al. 2014) and A+ (Timofte
# et al. 2014) for y; those of another implementation for rgb8.
PUBLISHED = {
    ("Set5", Y): (33.66, 30.39, 28.42),
    ("Set14", Y): (30.23, 27.54, 26.00),
    ("B100", Y): (29.56, 27.21, 25.96),
    ("Set14", RGB8): (30.32, 27.63, 26.09),
}


@pytest.mark.parametrize("scale", [2, 3, 4])
@pytest.mark.parametrize(
    ("name", "protocol"), PUBLISHED, ids=[f"{name}-{protocol.name}" for name, protocol in PUBLISHED]
)
def test_bicubic_gives_the_published_figures(shared, name, protocol, scale):
    pictures = open_source(str(shared / "data" / "eval" / name), scale)
    figure = PUBLISHED[name, protocol][scale - 2]
    assert mean(evaluate(bicubic(scale), pictures, scale, protocol))["psnr"] == pytest.approx(
        figure, abs=0.01
    )


def test_luma_differs_between_the_protocols_by_the_grey_picture(shared):
    pictures = open_source(str(shared / "data" / "eval" / "Set14"), 2)
    y, rgb8 = (dict(evaluate(bicubic(2), pictures, 2, protocol)) for protocol in (Y, RGB8))
    gain = {name: rgb8[name]["psnr"] - y[name]["psnr"] for name in y}
    assert max(gain, key=gain.__getitem__) == "bridge"
    assert gain["bridge"] == pytest.approx(20 * math.log10(255 / 219), abs=0.02)


@pytest.mark.parametrize("protocol", [Y, RGB8, RGB, MOBILE_AI], ids=lambda protocol: protocol.name)
def test_bicubic_beats_nearest_in_every_protocol(protocol):
    def nearest(image):
        return jnp.repeat(jnp.repeat(image, 2, axis=0), 2, axis=1)

    pictures = open_source("embedded:eval")
    smooth, blocky = (list(evaluate(up, pictures, 2, protocol)) for up in (bicubic(2), nearest))
    assert [name for name, _ in smooth] == [picture.name for picture in pictures]
    for (_, good), (_, bad) in zip(smooth, blocky, strict=True):
        assert good["psnr"] > bad["psnr"]
        assert good["ssim"] > bad["ssim"]


def test_niqe_is_measured_beside_them():
    root = np.random.default_rng(0).normal(size=(36, 36))
    model = NiqeModel(mean=np.ones(36), covariance=root @ root.T)
    picture = open_source("embedded:eval")[0]
    ((_, scores),) = evaluate(bicubic(2), [picture], 2, RGB, model)
    low, _ = RGB.pair(picture, 2)
    codes = np.rint(255 * np.clip(bicubic(2)(low), 0, 1)).astype(np.uint8)
    assert scores["niqe"] == niqe(codes, model)
    with pytest.raises(InputError, match="protocol y"):
        next(evaluate(bicubic(2), [picture], 2, Y, model))


def test_one_picture_at_a_time():
    picture = ImagePair(name="a", hr=np.zeros((32, 32), np.uint8))
    endless = evaluate(bicubic(2), itertools.repeat(picture), 2, Y)
    assert next(endless) == ("a", {"psnr": math.inf, "ssim": 1})


def test_errors_name_the_picture():
    dot = ImagePair(name="dot", hr=np.zeros((3, 3), np.uint8))
    with pytest.raises(InputError, match=r"^dot: .*\(3, 3\)"):
        next(evaluate(bicubic(4), [dot], 4, RGB))
    flat = ImagePair(name="flat", hr=np.zeros((32, 32), np.uint8))
    with pytest.raises(InputError, match=r"^flat: .*scale 2 .*\(48, 48, 3\)"):
        next(evaluate(bicubic(3), [flat], 2, RGB))


def test_mean():
    scores = [("a", {"psnr": 30.0, "ssim": 0.8}), ("b", {"psnr": 32.0, "ssim": 0.9})]
    assert mean(scores) == pytest.approx({"psnr": 31.0, "ssim": 0.85})
    with pytest.raises(InputError, match=r"^0 images"):
        mean([])


class _Global(nn.Module):
    """Enlarges an image and adds what depends on all of it."""

    channels: int = 1

    @nn.compact
    def __call__(self, x):
        weight = self.param("weight", nn.initializers.ones, (1,))
        large = ops.resize(x, scale=2, method="nearest")
        return ops.add(large, ops.mul(ops.mean(x), weight))


@dataclasses.dataclass(frozen=True, kw_only=True)
class _GlobalNetwork(Network):
    @property
    def module(self):
        return _Global()


def test_a_network_that_looks_at_the_whole_image_is_measured_at_its_true_size():
    rng = np.random.default_rng(0)
    images = [
        ImagePair(name=f"{h}", hr=rng.integers(0, 256, (h, w, 3), np.uint8) // 2)
        for h, w in ((46, 58), (62, 50))
    ]
    module = _Global()
    variables = module.init(jax.random.key(0), jnp.zeros((1, 8, 8, 1)))
    network = _GlobalNetwork(name="global", scale=2, variables=variables)
    plain = mean(evaluate(lambda x: module.apply(variables, x[None])[0], images, 2, Y))
    assert NetworkEvaluator(network, images)(variables) == pytest.approx(plain, rel=1e-6)
    by_hand = mean(evaluate(lambda x: x.repeat(2, 0).repeat(2, 1) + x.mean((0, 1)), images, 2, Y))
    assert plain == pytest.approx(by_hand, rel=1e-4)
