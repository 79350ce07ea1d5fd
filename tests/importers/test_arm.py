"""Arm's blocks, restated: what the imported network must compute in either reading."""

import logging

import numpy as np
import pytest
from importer_reference import assert_close, correlate, depth_to_space, draw, image, prelu, same
from safetensors.numpy import save_file

from sesr_jax.errors import InputError
from sesr_jax.importers import import_weights

_F, _M, _P = 16, 3, 24


def _arrays(scale, kind, slopes=True):
    """Variables under the checkpoint's names; `kind` is "collapse" (LinearBlock_c) or "block" (_e)."""
    owners = {"input_block": (5, 1, _F), "output_block": (5, _F, scale**2)}
    owners |= {f"linear_blocks/{i}": (3, _F, _F) for i in range(_M)}
    shapes = {f"activations/{i}/alpha": (1, 1, _F) for i in range(_M if slopes else 0)}
    for owner, (k, n, m) in owners.items():
        layer = f"{owner}/{kind}/layer_with_weights-"
        shapes |= {f"{layer}0/kernel": (k, k, n, _P), f"{layer}0/bias": (_P,)}
        shapes |= {f"{layer}1/kernel": (1, 1, _P, m), f"{layer}1/bias": (m,)}
    return draw(shapes)


def _layers(arrays, owner, kind):
    layer = f"{owner}/{kind}/layer_with_weights-"
    return [arrays[f"{layer}{i}/{v}"] for i in (0, 1) for v in ("kernel", "bias")]


def _expanded_block(x, k1, b1, k2, b2):
    return same(same(x, k1, b1), k2, b2)


def _collapsed_block(x, k1, b1, k2, b2):
    """Both convolutions on a unit impulse, biases included; its response, reversed, is the kernel."""
    k, _, n, _ = k1.shape
    impulse = np.pad(np.eye(n)[:, None, None], ((0, 0), (k - 1, k - 1), (k - 1, k - 1), (0, 0)))
    response = correlate(correlate(impulse, k1) + b1, k2) + b2
    kernel = response[:, ::-1, ::-1].transpose(1, 2, 0, 3)
    if n == kernel.shape[-1]:
        kernel[k // 2, k // 2] += np.eye(n)
    return same(x, kernel)


def _forward(arrays, x, scale, kind):
    run = _expanded_block if kind == "block" else _collapsed_block
    first = h = run(x - 0.5, *_layers(arrays, "input_block", kind))
    for i in range(_M):
        residual = h if kind == "block" else 0
        h = run(h, *_layers(arrays, f"linear_blocks/{i}", kind)) + residual
        slope = arrays.get(f"activations/{i}/alpha", np.zeros(_F))
        h = prelu(h, slope)
    y = run(h + first, *_layers(arrays, "output_block", kind)) + x
    for _ in range(scale // 2):
        y = depth_to_space(y, 2)
    return y


def _import(tmp_path, arrays, scale, **options):
    save_file(arrays, tmp_path / "w.safetensors")
    return import_weights(
        "arm", tmp_path / "w.safetensors", model="sesr_m3", scale=scale, **options
    )


# ×4 with 16 features gives the collapsed output block a short residual.
@pytest.mark.parametrize("scale", [2, 4])
@pytest.mark.parametrize(("kind", "reading"), [("block", "exact"), ("collapse", "released")])
def test_each_kind_of_block_is_computed_in_its_reading(tmp_path, kind, reading, scale):
    arrays, x = _arrays(scale, kind), image()
    network = _import(tmp_path, arrays, scale, reading=reading)
    want = _forward(arrays, x, scale, kind)
    assert_close(network.apply(x), want)
    assert_close(network.collapse().apply(x), want)
    assert dict(network.options) == {"expansion": _P, "centre": 0.5}


def test_the_readings_agree_without_biases_and_differ_with_them(tmp_path, caplog):
    arrays, x = _arrays(2, "collapse"), image()
    other = _import(tmp_path, arrays, 2).apply(x)
    assert np.abs(other - _forward(arrays, x, 2, "collapse")).max() > 0.05
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert "read as exact; these are LinearBlock_c" in record.getMessage()
    caplog.clear()
    arrays = {k: v * (not k.endswith("bias")) for k, v in arrays.items()}
    for reading in ("exact", "released"):
        got = _import(tmp_path, arrays, 2, reading=reading).apply(x)
        assert_close(got, _forward(arrays, x, 2, "collapse"))
    assert not caplog.records


def _keras(arrays, kind):
    """The same variables under Keras's paths, from a model that is not the first of its program."""
    made = (
        3 if kind == "collapse" else 2
    )  # a LinearBlock_c makes a convolution that it does not use
    owners = ["input_block", *(f"linear_blocks/{i}" for i in range(_M)), "output_block"]
    named = {}
    for block, owner in enumerate(owners):
        for part, array in zip(range(4), _layers(arrays, owner, kind), strict=True):
            number = 9 + made * block + part // 2 + made - 2
            scope = f"sesr_1/linear_block_{block + 5}/sequential_{block}"
            named[f"{scope}/conv2d_{number}/{('kernel', 'bias')[part % 2]}"] = array
    for i in range(_M):
        number = f"_{i}" if i else ""
        named[f"sesr_1/p_re_lu{number}/alpha"] = arrays[f"activations/{i}/alpha"]
    return named


@pytest.mark.parametrize("kind", ["block", "collapse"])
def test_the_paths_of_keras_name_the_same_network(tmp_path, kind):
    arrays, x = _arrays(4, kind), image()
    want = _import(tmp_path, arrays, 4).apply(x)
    np.testing.assert_array_equal(_import(tmp_path, _keras(arrays, kind), 4).apply(x), want)


def test_a_network_trained_for_int8_has_relu_and_its_ranges_are_left_out(tmp_path):
    arrays, x = _arrays(2, "collapse", slopes=False), image()
    ranges = dict.fromkeys(
        [
            "input_block/wt_quant_min",
            "input_block/delta",
            "input_block_A_quant/act_quant_max",
            "linear_block_A_quant/1/quant_initialized",
        ],
        np.zeros(3, np.float32),
    )
    network = _import(tmp_path, arrays | ranges, 2, reading="released")
    assert network.options["activation"] == "relu"
    assert_close(network.apply(x), _forward(arrays, x, 2, "collapse"))


def test_the_hardware_variant_gets_back_the_residual_that_arms_code_has(tmp_path):
    save_file(_arrays(2, "block", slopes=False), tmp_path / "w.safetensors")
    network = import_weights("arm", tmp_path / "w.safetensors", model="sesr_m3_hw", scale=2)
    assert dict(network.options) == {
        "input_residual": True,
        "expansion": _P,
        "centre": 0.5,
    }


def test_what_does_not_fit_is_named(tmp_path):
    arrays = _arrays(2, "block")
    del arrays["linear_blocks/1/block/layer_with_weights-0/bias"]
    with pytest.raises(InputError, match="linear_blocks/1/layer_with_weights-0/bias"):
        _import(tmp_path, arrays, 2)
    with pytest.raises(InputError, match=r"output_block/.* \(4,\) .*\(16,\)"):
        _import(tmp_path, _arrays(2, "block"), 4)
