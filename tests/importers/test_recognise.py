"""Official weights are recognised by names and shapes, and compute what the authors' code computes."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from importer_reference import assert_close, image, pixel_shuffle, same, to_hwio
from official_weights import make_arrays
from PIL import Image
from small_networks import SIDE
from torch_writer import write_legacy, write_zip

from sesr_jax.cli.main import main
from sesr_jax.errors import InputError
from sesr_jax.files import write_safetensors
from sesr_jax.importers import LAYOUTS, recognise_network
from sesr_jax.models import VARIANTS
from sesr_jax.pretrained import find_network

_BLOCKS = {"latticenet": {"blocks": 4}, "spanv2": {"blocks": 5}}
"""The blocks of networks that have as many in every file."""


@pytest.mark.parametrize("key", LAYOUTS)
def test_a_network_is_recognised(tmp_path, key):
    arrays = make_arrays(key, **_BLOCKS.get(key, {}))
    write_zip(tmp_path / "w.pth", {"params": arrays, "iteration": 3})
    found = recognise_network(tmp_path / "w.pth", scale=4)
    assert found.name == LAYOUTS[key].models[0]
    assert found.scale == 4
    if not LAYOUTS[key].means:  # those hold layers that are no parameters here
        assert sum(p.size for p in jax.tree.leaves(found.variables)) == sum(
            array.size for array in arrays.values()
        )
    hr = jax.eval_shape(found.apply, jnp.zeros((1, SIDE, SIDE, 3)))
    assert hr.shape == (1, 4 * SIDE, 4 * SIDE, 3)


def _run_span(arrays, x):
    """Its `forward`, whose activation in place changes the map that it returns."""

    def conv(name, y):
        return same(y, to_hwio(arrays[f"{name}.weight"]), arrays[f"{name}.bias"])

    def sigmoid(y):
        return 1 / (1 + np.exp(-y))

    first = y = conv("conv_1.eval_conv", (x - np.array([0.4488, 0.4371, 0.4040])) * 255)
    outputs = []
    for i in (1, 2):
        inner = conv(f"block_{i}.c1_r.eval_conv", y)
        inner = inner * sigmoid(inner)
        z = conv(f"block_{i}.c2_r.eval_conv", inner)
        z = conv(f"block_{i}.c3_r.eval_conv", z * sigmoid(z))
        y = (z + y) * (sigmoid(z) - 0.5)
        outputs.append(y)
    y = np.concatenate([first, conv("conv_2.eval_conv", y), outputs[0], inner], -1)
    return pixel_shuffle(conv("upsampler.0", conv("conv_cat", y)), 4)


def _run_tpsr(arrays, x):
    """Its `forward`, on values from 0 to 255."""

    def conv(name, y):
        kernel = to_hwio(arrays[f"{name}.weight"])
        if kernel.shape[2] == 1:
            kernel = np.eye(y.shape[-1], dtype=np.float32) * kernel  # a convolution per channel
        return same(y, kernel, arrays.get(f"{name}.bias", 0.0))

    def prelu(name, y):
        return np.where(y > 0, y, arrays[f"{name}.weight"] * y)

    def run(path, y):
        for name in dict.fromkeys(n.rpartition(".")[0] for n in arrays if n.startswith(path)):
            y = prelu(name, y) if arrays[f"{name}.weight"].ndim == 1 else conv(name, y)
        return y

    y = conv("first_layer", conv("sub_mean", 255 * x))
    trunk = run("early_layers", y)
    paths = run("skip_layer", y), run("middle_side_layers", trunk), run("middle_main_layers", trunk)
    y = prelu("merge_op_act", sum(paths))
    for i in (0, 1):
        y = pixel_shuffle(conv(f"up_mod.{i}.extend", y), 2)
    return conv("add_mean", y) / 255


def _run_carn_m(arrays, x):
    def conv(name, y):
        kernel = to_hwio(arrays[f"{name}.weight"])
        groups = y.shape[-1] // kernel.shape[2]
        parts, kernels = np.split(y, groups, -1), np.split(kernel, groups, -1)
        joined = [same(part, k, 0.0) for part, k in zip(parts, kernels, strict=True)]
        return np.concatenate(joined, -1) + arrays[f"{name}.bias"]

    def relu(y):
        return np.maximum(y, 0)

    def residual(name, y):
        z = relu(conv(f"{name}.body.2", relu(conv(f"{name}.body.0", y))))
        return relu(conv(f"{name}.body.4", z) + y)

    def cascade(prefix, parts, y):
        together = y
        for i, part in enumerate(parts, 1):
            together = np.concatenate([together, part(y)], -1)
            y = relu(conv(f"{prefix}c{i}.body.0", together))
        return y

    def block(name):
        parts = [lambda y: residual(f"{name}.b1", y)] * 3
        return lambda y: cascade(f"{name}.", parts, y)

    y = cascade(
        "", [block("b1"), block("b2"), block("b3")], conv("entry", conv("sub_mean.shifter", x))
    )
    for i in (0, 3):
        y = pixel_shuffle(relu(conv(f"upsample.up4.body.{i}", y)), 2)
    return conv("add_mean.shifter", conv("exit", y))


def _run_imdn(arrays, x):
    def conv(name, y):
        return same(y, to_hwio(arrays[f"{name}.weight"]), arrays[f"{name}.bias"])

    def leaky(y):
        return np.where(y > 0, y, 0.05 * y)

    first = y = conv("fea_conv", x)
    outputs = []
    for i in (1, 2):
        h, kept = y, []
        for j in (1, 2, 3):
            h = leaky(conv(f"IMDB{i}.c{j}", h))
            kept.append(h[..., :8])
            h = h[..., 8:]
        z = np.concatenate([*kept, conv(f"IMDB{i}.c4", h)], -1)
        gate = z.mean((1, 2), keepdims=True) + z.std((1, 2), keepdims=True)
        gate = np.maximum(conv(f"IMDB{i}.cca.conv_du.0", gate), 0)
        z = z / (1 + np.exp(-conv(f"IMDB{i}.cca.conv_du.2", gate)))
        y = y + conv(f"IMDB{i}.c5", z)
        outputs.append(y)
    y = conv("LR_conv", leaky(conv("c.0", np.concatenate(outputs, -1)))) + first
    return pixel_shuffle(conv("upsampler.0", y), 4)


def _run_rrdbnet(arrays, x):
    """At ×2, with PyTorch's pixel unshuffle."""

    def conv(name, y):
        return same(y, to_hwio(arrays[f"{name}.weight"]), arrays[f"{name}.bias"])

    def leaky(y):
        return np.where(y > 0, y, 0.2 * y)

    n, h, w, c = x.shape
    blocks = x.reshape(n, h // 2, 2, w // 2, 2, c).transpose(0, 1, 3, 5, 2, 4)
    y = first = conv("conv_first", blocks.reshape(n, h // 2, w // 2, 4 * c))
    for part in (1, 2, 3):
        maps = [y]
        for i in range(1, 5):
            maps.append(leaky(conv(f"body.0.rdb{part}.conv{i}", np.concatenate(maps, -1))))
        y = y + 0.2 * conv(f"body.0.rdb{part}.conv5", np.concatenate(maps, -1))
    y = first + conv("conv_body", first + 0.2 * y)
    for name in ("conv_up1", "conv_up2"):
        y = leaky(conv(name, y.repeat(2, 1).repeat(2, 2)))
    return conv("conv_last", leaky(conv("conv_hr", y)))


def _run_spanv2(arrays, x):
    def conv(name, y, groups=1):
        kernel = to_hwio(arrays[f"{name}.weight"])
        inside, outside = kernel.shape[2], kernel.shape[3] // groups
        dense = np.zeros((*kernel.shape[:2], inside * groups, kernel.shape[3]), np.float32)
        for g in range(groups):
            out = np.s_[..., g * outside : (g + 1) * outside]
            dense[:, :, g * inside : (g + 1) * inside][out] = kernel[out]
        return same(y, dense, arrays.get(f"{name}.bias", 0.0))

    def relu(y):
        return np.maximum(y, 0)

    y = x
    for i in range(1, 6):
        z = conv(
            f"block_{i}.c3.conv",
            relu(conv(f"block_{i}.c2.conv", relu(conv(f"block_{i}.c1.conv", y)))),
        )
        y = relu(z) if i == 1 else (y + z) * conv(f"block_{i}.guidance_map_conv", z)
    y = np.concatenate([conv("conv_near", x, groups=3), y], -1)
    return pixel_shuffle(conv("pointwise_conv", conv("depthwise_conv", y, groups=y.shape[-1])), 4)


def _run_srvggnet(arrays, x):
    def conv(i, y):
        return same(y, to_hwio(arrays[f"body.{i}.weight"]), arrays[f"body.{i}.bias"])

    y = x
    for i in range(5):
        weight = arrays[f"body.{i}.weight"]
        y = conv(i, y) if i % 2 == 0 else np.where(y > 0, y, weight * y)
    return pixel_shuffle(y, 4) + x.repeat(4, 1).repeat(4, 2)


@pytest.mark.parametrize(
    ("key", "scale", "forward"),
    [
        ("span", 4, _run_span),
        ("spanv2", 4, _run_spanv2),
        ("imdn", 4, _run_imdn),
        ("rrdbnet", 2, _run_rrdbnet),
        ("srvggnet", 4, _run_srvggnet),
        ("tpsr", 4, _run_tpsr),
        ("carn_m", 4, _run_carn_m),
    ],
)
def test_the_network_computes_what_the_original_does(tmp_path, key, scale, forward):
    arrays = make_arrays(key, scale=scale, **_BLOCKS.get(key, {}))
    if key == "span":
        arrays["conv_1.eval_conv.weight"] /= 100  # it takes values of the order of 255
    if key == "spanv2":
        for i in range(2, 6):
            arrays[f"block_{i}.guidance_map_conv.bias"] += 1  # gates near 0 would hide the blocks
    write_legacy(tmp_path / "w.pth", {f"module.{name}": array for name, array in arrays.items()})
    x = image(channels=3)[:, :8, :6]
    found = recognise_network(tmp_path / "w.pth", scale=scale)
    assert_close(found.apply(x), forward(arrays, x))


@pytest.mark.parametrize("key", ["rlfn", "latticenet"])
def test_networks_of_values_to_255_take_and_give_values_to_1(tmp_path, monkeypatch, key):
    """The same weights, taken as they are, compute 255 times the output from 255 times the input."""
    write_zip(tmp_path / "w.pth", make_arrays(key, **_BLOCKS.get(key, {})))
    found = recognise_network(tmp_path / "w.pth")
    monkeypatch.setitem(LAYOUTS, key, dataclasses.replace(LAYOUTS[key], values=(1, 1)))
    plain = recognise_network(tmp_path / "w.pth")
    x = np.random.default_rng(0).uniform(size=(1, SIDE, SIDE, 3)).astype(np.float32)
    assert_close(found.apply(x), np.asarray(plain.apply(255 * x)) / 255)


def test_pan_shows_its_scale_by_its_layers_or_its_file_s_name(tmp_path):
    arrays = make_arrays("pan", scale=2)
    write_zip(tmp_path / "PANx3_DF2K.pth", arrays)
    assert find_network(tmp_path / "PANx3_DF2K.pth").scale == 3
    write_zip(tmp_path / "w.pth", arrays)
    with pytest.raises(InputError, match=r"w\.pth .*×2 or ×3"):
        find_network(tmp_path / "w.pth")
    assert recognise_network(tmp_path / "w.pth", scale=2).scale == 2
    with pytest.raises(InputError, match=r"×2 or ×3, not ×4"):
        recognise_network(tmp_path / "w.pth", scale=4)


def _nan(arrays):
    arrays["conv_cat.bias"][0] = np.nan


def _transpose(arrays):
    arrays["block_2.c1_r.eval_conv.weight"] = np.zeros((4, 4, 5, 5), np.float32)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda arrays: arrays.pop("conv_cat.weight"), r"conv_cat\.weight"),
        (lambda arrays: arrays.update({"extra.weight": np.zeros(3)}), r"span .*extra"),
        (_nan, r"conv_cat\.bias.*finite"),
        (_transpose, r"block_2\.c1_r\.eval_conv\.weight is \(4, 4, 5, 5\)"),
    ],
)
def test_what_does_not_fit_is_named(tmp_path, change, message):
    arrays = make_arrays("span")
    change(arrays)
    write_zip(tmp_path / "w.pth", arrays)
    with pytest.raises(InputError, match=rf"w\.pth.*{message}"):
        recognise_network(tmp_path / "w.pth")


def test_a_discriminator_is_no_network_that_upscales(tmp_path):
    names = ("conv0.weight", "conv1.weight_orig", "conv1.weight_u", "conv9.weight")
    write_zip(tmp_path / "w.pth", {name: np.zeros((2, 3), np.float32) for name in names})
    with pytest.raises(InputError, match=r"w\.pth holds a discriminator"):
        find_network(tmp_path / "w.pth")


def test_safetensors_of_others_are_recognised(tmp_path):
    arrays = make_arrays("esrgan")
    write_safetensors(tmp_path / "w.safetensors", arrays, {"format": "pt"})
    found = find_network(tmp_path / "w.safetensors")
    assert (found.name, found.scale) == ("rrdbnet", 4)


def test_a_layer_that_adds_another_mean_is_refused(tmp_path):
    arrays = make_arrays("tpsr")
    write_zip(tmp_path / "w.pth", {**arrays, "add_mean.bias": arrays["add_mean.bias"] / 255})
    with pytest.raises(InputError, match=r"w\.pth .*add_mean"):
        recognise_network(tmp_path / "w.pth")


def test_an_unknown_file_is_described(tmp_path):
    write_zip(tmp_path / "w.pth", {"layer.weight": np.zeros((2, 3), np.float32)})
    with pytest.raises(InputError, match=r"w\.pth .*layer\.weight \[2, 3\].* none .*rfdn"):
        find_network(tmp_path / "w.pth")
    arrays = make_arrays("span")
    arrays = {name: a for name, a in arrays.items() if "block_2" not in name}
    arrays |= {f"other.{i}.weight": np.zeros(2, np.float32) for i in range(4)}
    write_zip(tmp_path / "w.pth", arrays)
    with pytest.raises(InputError, match=r"near span"):
        find_network(tmp_path / "w.pth")


def test_another_model_or_project_than_the_file_s_is_refused(tmp_path):
    write_zip(tmp_path / "w.pth", make_arrays("span"))
    with pytest.raises(InputError, match=r"span .*rlfn"):
        recognise_network(tmp_path / "w.pth", model="rlfn")
    with pytest.raises(InputError, match=r"imdn .*fea_conv"):
        recognise_network(tmp_path / "w.pth", source="imdn")
    with pytest.raises(InputError, match=r"×4, not ×2"):
        recognise_network(tmp_path / "w.pth", scale=2)


def test_the_sizes_that_are_a_model_s_own_are_no_options(tmp_path):
    for name in ("span_ntire2024", "span_tiny"):
        features = VARIANTS[name].build(scale=4).features
        write_zip(tmp_path / "w.pth", make_arrays("span", features=features, blocks=6))
        found = recognise_network(tmp_path / "w.pth")
        assert (found.name, found.options) == (name, {})


def test_the_command_line_takes_the_file_as_a_model(tmp_path, capsys):
    write_legacy(tmp_path / "w.pth", make_arrays("span"))
    Image.effect_noise((17, 16), 50).convert("RGB").save(tmp_path / "a.png")
    command = ["upscale", f"{tmp_path}/a.png", f"{tmp_path}/b.png", "--model", f"{tmp_path}/w.pth"]
    assert main(command) == 0
    with Image.open(tmp_path / "b.png") as large:
        assert large.size == (68, 64)
    assert main(["import", f"{tmp_path}/w.pth", "--out", f"{tmp_path}/w.safetensors"]) == 0
    assert "span ×4, features 4, blocks 2" in capsys.readouterr().out
    again = find_network(tmp_path / "w.safetensors")
    x = image(channels=3)
    np.testing.assert_array_equal(again.apply(x), find_network(tmp_path / "w.pth").apply(x))
    assert main(["import", "--from", "arm", f"{tmp_path}/w.pth", "--out", "a.safetensors"]) == 2
    assert "--model" in capsys.readouterr().err
