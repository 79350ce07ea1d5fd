"""sesr-jax's SESR, restated."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from importer_reference import assert_close, draw, image, prelu, same
from safetensors.numpy import save_file

from sesr_jax.importers import import_weights

_F, _M, _P = 16, 3, 24


def _params(scale):
    """Their dictionary of dictionaries."""
    owners = {"first5x5": (5, 1, _F), "last5x5": (5, _F, scale**2)}
    owners |= {f"lin_{i}": (3, _F, _F) for i in range(_M)}
    shapes = {f"sesr/lin_{i}/prelu|alpha": (1,) for i in range(_M)}
    for owner, (k, n, m) in owners.items():
        shapes |= {f"sesr/{owner}/conv2_d|w": (k, k, n, _P), f"sesr/{owner}/conv2_d|b": (_P,)}
        shapes |= {f"sesr/{owner}/conv2_d_1|w": (1, 1, _P, m), f"sesr/{owner}/conv2_d_1|b": (m,)}
    params = {}
    for name, array in draw(shapes).items():
        module, parameter = name.split("|")
        params.setdefault(module, {})[parameter] = array
    return params


def _forward(params, x, scale):
    def block(h, owner):
        for module in ("conv2_d", "conv2_d_1"):
            h = same(h, **{v: params[f"sesr/{owner}/{module}"][k] for v, k in _ARGUMENTS})
        return h

    x = x - 0.5
    first = h = block(x, "first5x5")
    for i in range(_M):
        h = prelu(h + block(h, f"lin_{i}"), params[f"sesr/lin_{i}/prelu"]["alpha"])
    d = x + block(first + h, "last5x5")
    n, rows, columns, _ = d.shape
    pixels = d.reshape(n, rows, columns, scale, scale).swapaxes(2, 3)
    return pixels.reshape(n, rows * scale, columns * scale, 1) + 0.5


_ARGUMENTS = (("kernel", "w"), ("bias", "b"))


# Their pixels come of one shuffle; our ×4 of two.
@pytest.mark.parametrize("scale", [2, 3, 4])
def test_the_imported_network_computes_what_the_original_does(tmp_path, scale):
    params, x = _params(scale), image()
    np.savez(tmp_path / "w.npz", jax.tree.map(jnp.asarray, params))  # as their training leaves them
    network = import_weights("sesr-jax", tmp_path / "w.npz", model="sesr_m3", scale=scale)
    want = _forward(params, x, scale)
    assert_close(network.apply(x), want)
    assert_close(network.collapse().apply(x), want)


def test_arrays_that_are_not_pickled_are_read_by_their_names(tmp_path):
    flat = {f"{m}/{p}": array for m, own in _params(2).items() for p, array in own.items()}
    save_file(flat, tmp_path / "w.safetensors")
    np.savez(tmp_path / "w.npz", **flat)
    first, second = (
        import_weights("sesr-jax", tmp_path / f"w.{kind}", model="sesr_m3", scale=2)
        for kind in ("safetensors", "npz")
    )
    jax.tree.map(np.testing.assert_array_equal, first.variables, second.variables)
