"""ncnn's files give the arrays that were written into them, and what is wrong with them is named."""

import numpy as np
import pytest
from ncnn_writer import write_ncnn
from official_weights import make_arrays

from sesr_jax.errors import InputError
from sesr_jax.importers import read_arrays, recognise_network
from sesr_jax.pretrained import find_network


@pytest.mark.parametrize("suffix", [".param", ".bin"])
@pytest.mark.parametrize(
    ("key", "half"), [("srvggnet", True), ("rrdbnet", True), ("srvggnet", False)]
)
def test_the_arrays_come_back(tmp_path, key, half, suffix):
    arrays = make_arrays(key)
    write_ncnn(tmp_path / "w.param", arrays, half=half)
    found = read_arrays((tmp_path / "w").with_suffix(suffix))
    assert found.keys() == arrays.keys()
    for name, array in arrays.items():
        rounded = array.astype(np.float16) if half and array.ndim == 4 else array
        np.testing.assert_array_equal(found[name], rounded)


def test_the_network_is_recognised_by_content(tmp_path):
    write_ncnn(tmp_path / "w.param", make_arrays("srvggnet", scale=2, blocks=3), scale=2)
    found = find_network(tmp_path / "w.bin")
    assert (found.name, found.scale, found.options["blocks"]) == ("srvggnet_32", 2, 3)


def test_one_of_the_two_files_alone_is_refused(tmp_path):
    write_ncnn(tmp_path / "w.param", make_arrays("srvggnet"))
    (tmp_path / "w.bin").rename(tmp_path / "v.bin")
    with pytest.raises(InputError, match=r"v\.bin has no v\.param"):
        find_network(tmp_path / "v.bin")
    with pytest.raises(InputError, match=r"w\.param has no w\.bin"):
        find_network(tmp_path / "w.param")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda data: data[:-3], r"w\.bin .*3 bytes before"),
        (lambda data: data[:2], r"w\.bin"),
        (lambda data: data + b"1234", r"4 bytes are left"),
        (lambda data: b"\x38\x4b\x0d\x00" + data[4:], r"0x000d4b38"),
    ],
)
def test_other_weights_than_the_layers_say_are_refused(tmp_path, change, message):
    write_ncnn(tmp_path / "w.param", make_arrays("srvggnet"))
    data = (tmp_path / "w.bin").read_bytes()
    (tmp_path / "w.bin").write_bytes(change(data))
    with pytest.raises(InputError, match=message):
        recognise_network(tmp_path / "w.bin")


def _replace(before, after):
    return lambda lines: [line.replace(before, after) for line in lines]


@pytest.mark.parametrize(
    ("key", "change", "message"),
    [
        # animevideov3's files of ×2 reduce the image of ×4 in the end.
        (
            "srvggnet",
            lambda lines: [*lines, "Interp r 1 1 a b 0=3 1=0.5 2=0.5"],
            r"bicubic resize 0\.5",
        ),
        ("srvggnet", _replace("Interp", "Sigmoid"), "1 × Sigmoid"),
        ("srvggnet", _replace("4=1", "4=1 3=2"), "stride 1"),
        ("srvggnet", _replace("6=", "6=1"), "w"),
        ("rrdbnet", _replace("-23310=1,2.0", "-23310=1,1.0"), r"leaky ReLU 0\.1"),
        ("rrdbnet", lambda lines: lines[:-1], "20 layers"),
        ("rrdbnet", _replace("0=", "0=x"), "w"),
    ],
)
def test_other_layers_are_refused(tmp_path, key, change, message):
    write_ncnn(tmp_path / "w.param", make_arrays(key), change=change)
    with pytest.raises(InputError, match=message):
        recognise_network(tmp_path / "w.bin")


def test_a_text_that_is_no_param_is_refused(tmp_path):
    (tmp_path / "w.bin").write_bytes(b"1234")
    for text in ("", "7767517", "7767517\n1 1\n", "7767517\n1 1\nInput data x 1 y\n", "1\n0 0\n"):
        (tmp_path / "w.param").write_text(text)
        with pytest.raises(InputError, match=r"w\.param"):
            recognise_network(tmp_path / "w.param")
