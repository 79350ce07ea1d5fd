"""The script that runs a compiled network on a board, with Python's part of the work."""

import jax
import numpy as np
import pytest

from sesr_jax.data.colour import rgb_to_ycbcr, ycbcr_to_rgb
from sesr_jax.models.network import init
from sesr_jax.npu.compilers.tpu_mlir import make_job, on_board
from sesr_jax.npu.compilers.tpu_mlir.bundle import write_bundle
from sesr_jax.targets import find_target

F16 = find_target("bm1684x-f16")
rng = np.random.default_rng(0)


@pytest.mark.parametrize("shape", [(20, 17), (5, 9), (24, 40)])
def test_the_script_for_a_board_joins_pieces_to_the_whole(shape):
    def network(x: np.ndarray) -> np.ndarray:
        """A mean of 3×3, with zeros around what it sees, twice as large."""
        assert x.shape[2:] == (12, 10)
        seen.append(x)
        padded = np.pad(x, ((0, 0), (0, 0), (1, 1), (1, 1)))
        h, w = x.shape[2:]
        mean = sum(padded[:, :, i : i + h, j : j + w] for i in range(3) for j in range(3)) / 9
        return mean.repeat(2, 2).repeat(2, 3)

    seen = []
    x = rng.random((1, 1, *shape), np.float32)
    found = on_board.upscale(network, x, (12, 10), 2, 1)
    padded = np.pad(x, ((0, 0), (0, 0), (1, 1), (1, 1)))
    h, w = shape
    whole = sum(padded[:, :, i : i + h, j : j + w] for i in range(3) for j in range(3)) / 9
    whole = whole.repeat(2, 2).repeat(2, 3)
    inside = (slice(None), slice(None), slice(2, -2), slice(2, -2))
    np.testing.assert_allclose(found[inside], whole[inside], atol=1e-6)
    missing = [(0, max(side - n, 0)) for side, n in zip((12, 10), shape, strict=True)]
    corner = np.pad(x[0, 0], missing, mode="edge")[-12:, -10:]
    assert np.array_equal(seen[-1][0, 0], corner)


def test_pieces_keep_half_of_a_side_where_a_network_looks_far(tmp_path):
    far = init("srvggnet_16", scale=4, key=jax.random.key(0))
    job = make_job(far, F16, size=(24, 32))
    write_bundle(job, tmp_path, "")
    assert "share 6 pixels" in (said := (tmp_path / "README.md").read_text("utf-8"))
    assert "seams" in said
    assert "HALO = 6 " in (tmp_path / "upscale.py").read_text("utf-8")
    for whole, halo in ((100, 6), (30, 20)):
        found = on_board.find_corners(whole, 24, halo)
        assert [first for _, first, _ in found[1:]] == [last for *_, last in found[:-1]]
        assert found[-1][2] == whole


def test_the_script_for_a_board_has_our_luma():
    rgb = rng.integers(60, 190, (6, 7, 3), np.uint8)
    y = on_board.prepare(rgb, 1)
    ycbcr = np.array(rgb_to_ycbcr(rgb / np.float32(255)))
    np.testing.assert_allclose(y[0, 0], ycbcr[..., 0], atol=1e-6)
    ycbcr[..., 0] += 0.05
    wanted = np.rint(np.asarray(ycbcr_to_rgb(ycbcr)) * 255)
    found = on_board.finish(y + np.float32(0.05), rgb)
    np.testing.assert_allclose(found, wanted, atol=1)
    assert on_board.prepare(rgb, 3).shape == (1, 3, 6, 7)
    assert np.array_equal(on_board.finish(on_board.prepare(rgb, 3), rgb), rgb)
