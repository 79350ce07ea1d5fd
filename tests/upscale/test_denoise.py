"""Two networks are mixed weight by weight, and the twin is found by its name."""

import numpy as np
import pytest
from ncnn_writer import write_ncnn
from official_weights import make_arrays
from PIL import Image

from sesr_jax.cli.main import main
from sesr_jax.errors import InputError
from sesr_jax.pretrained import find_network
from sesr_jax.upscale import load_denoiser


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("twins")
    arrays = make_arrays("srvggnet", scale=2)
    write_ncnn(folder / "a_x2_v3.param", arrays, scale=2, half=False)
    twin = {name: array + 0.1 for name, array in arrays.items()}
    write_ncnn(folder / "a_WDN-x2-v3.param", twin, scale=2, half=False)
    write_ncnn(folder / "alone.param", make_arrays("srvggnet", scale=3), scale=3)
    return folder


def _get_kernel(network):
    return np.asarray(network.variables["params"]["block_0"]["term"].kernel)


@pytest.mark.parametrize("strength", [0, 0.25, 1])
def test_weights_are_mixed(folder, strength):
    strong = _get_kernel(find_network(folder / "a_x2_v3.bin"))
    found = _get_kernel(load_denoiser(folder / "a_x2_v3.bin", strength))
    np.testing.assert_allclose(found, strong + 0.1 * (1 - strength), atol=1e-6)


def test_a_missing_twin_and_another_network_are_named(folder):
    with pytest.raises(InputError, match=r"alone\.bin has no twin .*'wdn'"):
        load_denoiser(folder / "alone.bin", 0.5)
    with pytest.raises(InputError, match=r"a_WDN-x2-v3\.bin is itself"):
        load_denoiser(folder / "a_WDN-x2-v3.bin", 0.5)
    with pytest.raises(InputError, match=r"×2 .* and .*×3 .* mixed"):
        load_denoiser(folder / "a_x2_v3.bin", 0.5, folder / "alone.bin")
    with pytest.raises(InputError, match=r"1\.5"):
        load_denoiser(folder / "a_x2_v3.bin", 1.5)


def test_the_command_line_mixes(folder, tmp_path, capsys):
    Image.effect_noise((17, 16), 50).convert("RGB").save(tmp_path / "a.png")
    command = [
        "upscale",
        f"{tmp_path}/a.png",
        f"{tmp_path}/b.png",
        "--model",
        f"{folder}/a_x2_v3.bin",
    ]
    assert main([*command, "--denoise", "0.5"]) == 0
    with Image.open(tmp_path / "b.png") as large:
        assert large.size == (34, 32)
    assert main([*command, "--twin", f"{folder}/alone.bin"]) == 2
    assert "--denoise" in capsys.readouterr().err
