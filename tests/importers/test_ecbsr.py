"""ECBSR, restated: its branches pad the map inside with its bias."""

import jax
import numpy as np
import pytest
from importer_reference import (
    assert_close,
    correlate,
    draw,
    image,
    pixel_shuffle,
    prelu,
    same,
    to_hwio,
)
from safetensors.numpy import save_file

from sesr_jax.errors import InputError
from sesr_jax.importers import import_weights
from sesr_jax.models import network

_C, _M = 16, 2
_MASKS = {
    "sbx": [[1, 0, -1], [2, 0, -2], [1, 0, -1]],
    "sby": [[1, 2, 1], [0, 0, 0], [-1, -2, -1]],
    "lpl": [[0, 1, 0], [1, -4, 1], [0, 1, 0]],
}


def _arrays(scale, slopes=True):
    shapes, masks = {}, {}
    for i, (n, m) in enumerate([(1, _C), *[(_C, _C)] * _M, (_C, scale**2)]):
        block = f"backbone.{i}."
        shapes |= {f"{block}conv3x3.weight": (m, n, 3, 3), f"{block}conv3x3.bias": (m,)}
        deep = f"{block}conv1x1_3x3."
        shapes |= {f"{deep}k0": (2 * m, n, 1, 1), f"{deep}b0": (2 * m,)}
        shapes |= {f"{deep}k1": (m, 2 * m, 3, 3), f"{deep}b1": (m,)}
        for edge, mask in _MASKS.items():
            branch = f"{block}conv1x1_{edge}."
            shapes |= {f"{branch}k0": (m, n, 1, 1), f"{branch}b0": (m,), f"{branch}bias": (m,)}
            shapes[f"{branch}scale"] = (m, 1, 1, 1)
            taps = np.broadcast_to(np.asarray(mask, np.float32), (m, 1, 3, 3))
            masks[f"{branch}mask"] = np.ascontiguousarray(taps)
        if slopes and i <= _M:
            shapes[f"{block}act.weight"] = (m,)
    return draw(shapes) | masks


def _branch(x, k0, b0, kernel, bias):
    """1×1, a frame of its bias, 3×3 without padding."""
    n, h, w, _ = x.shape
    inner = np.broadcast_to(b0, (n, h + 2, w + 2, len(b0))).copy()
    inner[:, 1:-1, 1:-1] = same(x, to_hwio(k0), b0)
    return correlate(inner, kernel) + bias


def _block(arrays, x, i, residual):
    own = {k.removeprefix(f"backbone.{i}."): v for k, v in arrays.items()}
    y = same(x, to_hwio(own["conv3x3.weight"]), own["conv3x3.bias"])
    deep = (own[f"conv1x1_3x3.{v}"] for v in ("k0", "b0"))
    y += _branch(x, *deep, to_hwio(own["conv1x1_3x3.k1"]), own["conv1x1_3x3.b1"])
    for edge in _MASKS:
        branch = f"conv1x1_{edge}."
        taps = own[f"{branch}scale"] * own[f"{branch}mask"]
        dense = to_hwio(taps) * np.eye(len(taps))  # a convolution in as many groups as channels
        y += _branch(x, own[f"{branch}k0"], own[f"{branch}b0"], dense, own[f"{branch}bias"])
    return y + x if residual and x.shape == y.shape else y


def _forward(arrays, x, scale, residual):
    h = x
    for i in range(_M + 1):
        slope = arrays.get(f"backbone.{i}.act.weight", np.zeros(_C))
        h = prelu(_block(arrays, h, i, residual), slope)
    return pixel_shuffle(_block(arrays, h, _M + 1, residual) + x, scale)


def _import(tmp_path, arrays, scale, **options):
    save_file(arrays, tmp_path / "w.safetensors")
    options = {"model": "ecbsr_m4c16", "blocks": _M, **options}
    return import_weights("ecbsr", tmp_path / "w.safetensors", scale=scale, **options)


# ×4 with 16 features gives the last block as many channels in as out.
@pytest.mark.parametrize(("scale", "residual"), [(2, False), (3, True), (4, False), (4, True)])
def test_the_imported_network_computes_what_the_original_does(tmp_path, scale, residual):
    arrays, x = _arrays(scale), image()
    imported = _import(tmp_path, arrays, scale, residual=residual)
    want = _forward(arrays, x, scale, residual)
    assert_close(imported.apply(x), want)
    assert_close(imported.collapse().apply(x), want)


def test_an_imported_network_has_the_parameters_of_a_new_one(tmp_path):
    imported = _import(tmp_path, _arrays(2), 2)
    key = jax.random.key(0)
    fresh = jax.eval_shape(
        lambda: network.init("ecbsr_m4c16", scale=2, key=key, blocks=_M).variables
    )
    assert jax.tree.structure(imported.variables) == jax.tree.structure(fresh)
    jax.tree.map(
        lambda old, new: np.testing.assert_equal(old.shape, new.shape), imported.variables, fresh
    )


def test_relu_is_told_by_the_absence_of_slopes(tmp_path):
    arrays, x = _arrays(2, slopes=False), image()
    imported = _import(tmp_path, arrays, 2)
    assert imported.options["activation"] == "relu"
    assert_close(imported.apply(x), _forward(arrays, x, 2, False))


def test_another_mask_is_refused(tmp_path):
    arrays = _arrays(2)
    arrays["backbone.1.conv1x1_lpl.mask"] = arrays["backbone.1.conv1x1_sbx.mask"]
    with pytest.raises(InputError, match=r"conv1x1_lpl\.mask"):
        _import(tmp_path, arrays, 2)


def test_another_size_is_named(tmp_path):
    with pytest.raises(InputError, match=r"backbone\.4\.conv3x3\.weight"):
        _import(tmp_path, _arrays(2), 2, blocks=4)
