"""AIMET's SESR, restated."""

import numpy as np
import pytest
from importer_reference import assert_close, draw, image, pixel_shuffle, same, to_hwio
from safetensors.numpy import save_file

from sesr_jax.errors import InputError
from sesr_jax.importers import import_weights

_F, _M, _P = 16, 3, 24


def _arrays(scale, channels=3):
    owners = {"conv_first": (5, channels, _F), "conv_last": (5, _F, channels * scale**2)}
    owners |= {f"residual_block.{i}": (3, _F, _F) for i in range(_M)}
    shapes = {}
    for owner, (k, n, m) in owners.items():
        shapes |= {f"{owner}.conv_expand.weight": (_P, n, k, k)}
        shapes |= {
            f"{owner}.conv_squeeze.weight": (m, _P, 1, 1),
            f"{owner}.conv_squeeze.bias": (m,),
        }
    nearest = np.repeat(np.eye(channels, dtype=np.float32), scale**2, axis=0)
    anchor = {"anchor.net.weight": nearest[..., None, None]}
    anchor["anchor.net.bias"] = np.zeros(channels * scale**2, np.float32)
    return draw(shapes) | anchor


def _forward(arrays, x, scale):
    def block(h, owner):
        inner = same(h, to_hwio(arrays[f"{owner}.conv_expand.weight"]))
        squeeze = (arrays[f"{owner}.conv_squeeze.{v}"] for v in ("weight", "bias"))
        return same(inner, to_hwio(next(squeeze)), next(squeeze))

    first = h = np.maximum(block(x, "conv_first"), 0)
    for i in range(_M):
        h = np.maximum(h + block(h, f"residual_block.{i}"), 0)
    upsampled = np.repeat(x, scale**2, axis=-1)
    return pixel_shuffle(block(h + first, "conv_last") + upsampled, scale)


def _collapsed(arrays):
    """The file after their collapse: the short residual is in the kernel."""
    out = {k: v for k, v in arrays.items() if k.startswith("anchor")}
    for key in arrays:
        if key.endswith("conv_expand.weight"):
            owner = key.removesuffix(".conv_expand.weight")
            squeeze = arrays[f"{owner}.conv_squeeze.weight"][..., 0, 0]
            kernel = np.einsum("op,pikl->oikl", squeeze, arrays[key])
            if owner.startswith("residual"):
                kernel[:, :, 1, 1] += np.eye(_F, dtype=np.float32)
            out |= {key: kernel, f"{owner}.conv_expand.bias": arrays[f"{owner}.conv_squeeze.bias"]}
    return out


def _import(tmp_path, arrays, scale):
    save_file({k: np.ascontiguousarray(v) for k, v in arrays.items()}, tmp_path / "w.safetensors")
    return import_weights("aimet", tmp_path / "w.safetensors", model="sesr_m3", scale=scale)


@pytest.mark.parametrize(("scale", "channels"), [(2, 3), (3, 3), (4, 3), (4, 1)])
def test_the_imported_network_computes_what_the_original_does(tmp_path, scale, channels):
    arrays, x = _arrays(scale, channels), image(channels)
    want = _forward(arrays, x, scale)
    network = _import(tmp_path, arrays, scale)
    assert network.channels == channels
    assert network.options["expansion"] == _P
    assert_close(network.apply(x), want)
    assert_close(network.collapse().apply(x), want)
    deployed = _import(tmp_path, _collapsed(arrays), scale)
    assert_close(deployed.apply(x), want)


def test_an_anchor_that_was_trained_is_refused(tmp_path):
    arrays = _arrays(2)
    arrays["anchor.net.bias"] = np.full(12, 0.1, np.float32)
    with pytest.raises(InputError, match=r"anchor\.net"):
        _import(tmp_path, arrays, 2)


def test_another_activation_is_refused_by_its_variable(tmp_path):
    arrays = _arrays(2) | {"conv_first.activation.weight": np.zeros(1, np.float32)}
    with pytest.raises(InputError, match=r"conv_first\.activation\.weight"):
        _import(tmp_path, arrays, 2)
