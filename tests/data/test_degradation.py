"""Degradations obey their definitions, their noise its statistics, and their JPEG is libjpeg's."""

import functools
import io

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.special
from PIL import Image
from scipy import stats

from sesr_jax.cli.main import main
from sesr_jax.data import open_embedded
from sesr_jax.data.degradation import (
    Degradation,
    Framed,
    add_gaussian,
    add_poisson,
    blur,
    compress,
    degrade,
    draw_kernel,
    find_counts,
    frame,
    make_gaussian,
    make_sinc,
    resize,
    sharpen,
)
from sesr_jax.errors import InputError


@pytest.fixture(scope="module")
def photo():
    return open_embedded("eval")[1].hr[100:137, 120:155]


def _put_into(image, height, width):
    """`image` in the top left of a larger array of what must not be read."""
    array = np.full((height, width, 3), 7.0, np.float32)
    array[: image.shape[0], : image.shape[1]] = image
    return Framed(pixels=jnp.asarray(array), height=image.shape[0], width=image.shape[1])


def test_kernels_are_their_definitions():
    y, x = np.mgrid[-10:11, -10:11]
    inside = np.maximum(abs(x), abs(y)) <= 4
    angle = 0.7
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    inverse = np.linalg.inv(turn @ np.diag([2.0**2, 0.8**2]) @ turn.T)
    place = np.stack([x, y], -1)
    q = np.einsum("hwi,ij,hwj->hw", place, inverse, place)
    gaussian = jax.jit(make_gaussian)
    for beta, plateau, values in (
        (1.0, False, np.exp(-q / 2)),
        (0.6, False, np.exp(-(q**0.6) / 2)),
        (1.5, True, 1 / (1 + q**1.5)),
    ):
        expected = np.where(inside, values, 0)
        found = gaussian(9, (2.0, 0.8), angle, beta, plateau=plateau)
        np.testing.assert_allclose(found, expected / expected.sum(), atol=1e-6)
    radius = np.hypot(x, y)
    with np.errstate(invalid="ignore"):
        values = 2.5 * scipy.special.j1(2.5 * radius) / (2 * np.pi * radius)
    values[10, 10] = 2.5**2 / (4 * np.pi)
    found = jax.jit(make_sinc)(21, 2.5)
    np.testing.assert_allclose(found, values / values.sum(), atol=1e-5)


def test_drawn_kernels_have_the_sum_one_and_all_kinds():
    draw = functools.partial(
        draw_kernel,
        kinds=jnp.ones(6) / 6,
        sigma=(0.2, 3.0),
        generalised=(0.5, 4.0),
        plateau=(1.0, 2.0),
    )
    draw = jax.jit(jax.vmap(functools.partial(draw, sinc=0.5)))
    kernels = draw(jax.random.split(jax.random.key(0), 200))
    np.testing.assert_allclose(kernels.sum((1, 2)), 1, atol=1e-5)
    negative = np.mean(np.asarray(kernels).min((1, 2)) < 0)  # a sinc's lobes
    assert 0.4 < negative < 0.6
    sides = (np.asarray(kernels)[:, 10] != 0).sum(1)
    assert {7, 21} <= set(sides)


def test_a_blur_mirrors_the_edge_and_reads_nothing_beside_the_image(photo):
    image = photo / np.float32(255)
    kernel = np.asarray(make_gaussian(7, (2.0, 1.0), 0.5))
    padded = np.pad(image, ((10, 10), (10, 10), (0, 0)), "reflect")
    windows = np.lib.stride_tricks.sliding_window_view(padded, (21, 21), (0, 1))
    expected = np.einsum("hwcij,ij->hwc", windows, kernel)
    found = jax.jit(blur)(_put_into(image, 48, 40), kernel).pixels[
        : image.shape[0], : image.shape[1]
    ]
    np.testing.assert_allclose(found, expected, atol=1e-5)


def _sample(x, axis, after, step, weigh):
    """PyTorch's interpolation along one axis: the weighted neighbours of each place, limited to the image."""
    centre = (np.arange(after) + 0.5) * step - 0.5
    first = np.floor(centre).astype(int)
    total = 0
    for i in (-1, 0, 1, 2):
        weight = weigh(np.abs(centre - first - i))
        shape = [1, 1, 1]
        shape[axis] = after
        total = total + weight.reshape(shape) * np.take(
            x, np.clip(first + i, 0, x.shape[axis] - 1), axis
        )
    return total


def _linear(d):
    return np.maximum(1 - d, 0)


def _cubic(d):
    near = (1.25 * d - 2.25) * d * d + 1
    far = ((-0.75 * d + 3.75) * d - 6) * d + 3
    return np.where(d <= 1, near, np.where(d < 2, far, 0))


@pytest.mark.parametrize(("mode", "weigh"), [(1, _linear), (2, _cubic)])
def test_resizing_samples_as_pytorch_does(photo, mode, weigh):
    image = photo / np.float32(255)
    size = (20, 51)
    expected = image
    for axis, after in enumerate(size):
        expected = _sample(expected, axis, after, image.shape[axis] / after, weigh)
    run = jax.jit(resize, static_argnames="shape")
    found = run(_put_into(image, 48, 40), size, shape=(24, 56), mode=mode)
    np.testing.assert_allclose(found.pixels[: size[0], : size[1]], expected, atol=2e-5)
    factor = 0.57  # 37 · 0.57 is not whole
    size = tuple(int(n * factor) for n in image.shape[:2])
    expected = image
    for axis, after in enumerate(size):
        expected = _sample(expected, axis, after, 1 / factor, weigh)
    found = run(frame(image), size, shape=size, mode=mode, factor=factor).pixels
    np.testing.assert_allclose(found, expected, atol=2e-5)


def test_resizing_by_area_averages(photo):
    image = photo[:36, :35] / np.float32(255)
    expected = image.reshape(12, 3, 7, 5, 3).mean((1, 3))
    run = jax.jit(resize, static_argnames="shape")
    found = run(_put_into(image, 48, 40), (12, 7), shape=(16, 16), mode=0).pixels
    np.testing.assert_allclose(found[:12, :7], expected, atol=1e-6)


def test_compression_gives_the_codes_of_libjpeg(photo):
    run = jax.jit(lambda image, quality: compress(image, quality).pixels)
    for quality in (1, 30, 49, 75, 95, 100):
        file = io.BytesIO()
        Image.fromarray(photo).save(file, "JPEG", quality=quality, subsampling=2)
        expected = np.asarray(Image.open(file))
        found = run(_put_into(photo / np.float32(255), 56, 50), float(quality))
        found = np.rint(255 * np.asarray(found))[: photo.shape[0], : photo.shape[1]]
        np.testing.assert_array_equal(found, expected)


def test_noise_has_its_statistics():
    flat = frame(jnp.full((100, 100, 3), 100 / 255))
    gaussian, poisson = jax.jit(add_gaussian), jax.jit(add_poisson)
    grey = np.asarray(gaussian(jax.random.key(0), flat, 10.0, True).pixels)
    coloured = np.asarray(gaussian(jax.random.key(1), flat, 10.0, False).pixels)
    assert 255 * coloured.std() == pytest.approx(10, rel=0.03)
    assert 255 * coloured.mean() == pytest.approx(100, abs=0.3)
    np.testing.assert_array_equal(grey[..., 0], grey[..., 2])
    assert abs(np.corrcoef(coloured[..., 0].ravel(), coloured[..., 1].ravel())[0, 1]) < 0.05
    # Of two codes, white is worth two counts: the variance of code c is 2 · c / 255 / 4.
    pixels = jnp.full((100, 100, 3), 100 / 255).at[0].set(101 / 255)
    noisy = np.asarray(poisson(jax.random.key(2), frame(pixels), 0.2, False).pixels)[1:]
    assert noisy.var() == pytest.approx(0.2**2 * 100 / 255 / 2, rel=0.05)
    assert abs(np.corrcoef(noisy[..., 0].ravel(), noisy[..., 1].ravel())[0, 1]) < 0.05
    noisy = np.asarray(poisson(jax.random.key(2), frame(pixels), 0.2, True).pixels)
    np.testing.assert_allclose(noisy[..., 0], noisy[..., 1], atol=1e-6)


@pytest.mark.parametrize("white", [1, 16, 256])
def test_counts_are_quantiles_of_poisson_distributions(white):
    numbers, codes = np.meshgrid(np.linspace(1e-4, 0.9999, 1000, dtype=np.float32), np.arange(256))
    found = np.asarray(jax.jit(find_counts)(numbers, codes, float(white)))
    mean = white * codes / 255
    # Of a probability at which the count changes, float32 may know the count on the other side.
    least, most = (stats.poisson.ppf(numbers + by, mean) for by in (-1e-6, 1e-6))
    assert np.all(found >= np.maximum(least, 0))
    assert np.all(found <= most)


def test_a_key_gives_one_image_whatever_is_computed_beside_it(photo):
    images = jnp.asarray(np.stack([photo[:32, :32], photo[2:34, 1:33]]) / np.float32(255))
    keys = jax.random.split(jax.random.key(5), 2)
    run = jax.jit(jax.vmap(functools.partial(degrade, scale=2)))
    together, again = run(keys, images), run(keys[::-1], images[::-1])
    assert together.shape == (2, 16, 16, 3)
    codes = 255 * np.asarray(together)
    np.testing.assert_allclose(codes, np.rint(codes), atol=1e-3)
    assert codes.min() >= 0
    assert codes.max() <= 255
    np.testing.assert_array_equal(np.asarray(again)[::-1], together)
    assert (np.asarray(together[0]) != np.asarray(together[1])).any()


def test_sharpening_is_its_definition():
    image = np.zeros((60, 64, 1), np.float32)
    image[:, 32:] = 0.5
    taps = np.exp(-(np.arange(-25, 26) ** 2) / (2 * 8.0**2))
    kernel = np.outer(taps, taps) / taps.sum() ** 2

    def run(x):
        padded = np.pad(x[..., 0], 25, "reflect")
        windows = np.lib.stride_tricks.sliding_window_view(padded, (51, 51))
        return np.einsum("hwij,ij->hw", windows, kernel)[..., None]

    residual = image - run(image)
    share = run((abs(residual) > 10 / 255).astype(np.float32))
    expected = share * np.clip(image + 0.5 * residual, 0, 1) + (1 - share) * image
    np.testing.assert_allclose(jax.jit(sharpen)(image), expected, atol=1e-5)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"jpeg_range": (0.0, 95.0)}, "jpeg_range"),
        ({"blur_sigma2": (3.0, 0.2)}, "blur_sigma2"),
        ({"resize_range": (1.1, 1.5)}, "resize_range"),
        ({"kernel_prob": (0.5, 0.5)}, "kernel_prob"),
        ({"sinc_prob": 1.5}, "sinc_prob"),
    ],
)
def test_options_that_mean_nothing_are_refused(options, message):
    with pytest.raises(InputError, match=message):
        Degradation(**options)


def test_the_command_degrades_by_seed(tmp_path, capsys, photo):
    Image.fromarray(photo[:32, :32]).save(tmp_path / "a.png")
    for name, seed in (("b", 3), ("c", 4)):
        command = ["degrade", f"{tmp_path}/a.png", f"{tmp_path}/{name}.png", "--scale", "2"]
        assert main([*command, "--seed", str(seed)]) == 0
    files = [np.asarray(Image.open(tmp_path / f"{name}.png")) for name in "bc"]
    assert files[0].shape == (16, 16, 3)
    assert (files[0] != files[1]).any()
    assert main([*command, "--option", "jpeg_range=95,30"]) == 2
    assert main([*command, "--option", "jpegs=95,30"]) == 2
    assert main([*command, "--option", "sinc_prob=often"]) == 2
    assert "sinc_prob=often" in capsys.readouterr().err
