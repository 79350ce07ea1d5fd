"""PyTorch's files of both formats are read, and nothing in them is run."""

import zipfile

import numpy as np
import pytest
from torch_writer import Bits, Global, write_legacy, write_zip

from sesr_jax.errors import InputError
from sesr_jax.importers import read_arrays
from sesr_jax.importers.pickles import Unknown
from sesr_jax.importers.torch_files import read_torch

_STATE = {
    "head.weight": np.arange(24, dtype=np.float32).reshape(2, 3, 2, 2),
    "head.bias": np.array([0.5, -1.5]),
    "half": np.array([1, -2, 0.25], np.float16),
    "transposed": np.arange(6, dtype=np.float32).reshape(2, 3).T,
    "count": np.array(7),
}


@pytest.fixture(params=[write_zip, write_legacy], ids=["zip", "legacy"])
def write(request):
    """A writer of one of the formats."""
    return request.param


@pytest.mark.parametrize("wrapper", [None, "state_dict", "params_ema"])
def test_a_state_dict_comes_back(tmp_path, write, wrapper):
    state = {f"module.{name}": array for name, array in _STATE.items()}
    write(tmp_path / "w.pth", {"epoch": 3, wrapper: state} if wrapper else state)
    found = read_arrays(tmp_path / "w.pth")
    assert list(found) == list(_STATE)
    for name, array in _STATE.items():
        assert found[name].dtype == np.float32
        np.testing.assert_array_equal(found[name], array)


def test_the_upper_halves_of_floats_are_read(tmp_path, write):
    values = np.array([1.5, -3.0, 0.0078125], np.float32)
    halves = (values.view(np.uint32) >> 16).astype(np.uint16)
    write(tmp_path / "w.pth", {"w": halves.view(Bits)})
    np.testing.assert_array_equal(read_arrays(tmp_path / "w.pth")["w"], values)


def test_what_a_file_would_run_stays_a_name(tmp_path, write):
    content = {"state_dict": dict(_STATE), "options": Global("os", "getcwd")}
    write(tmp_path / "w.pth", content)
    assert read_torch(tmp_path / "w.pth")["options"] == Unknown("os.getcwd")
    assert read_arrays(tmp_path / "w.pth").keys() == _STATE.keys()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (Global("torch.nn", "Conv2d"), r"torch\.nn\.Conv2d"),
        ({"state_dict": Global("os", "system")}, "state_dict"),
        ({"epoch": 3}, "epoch"),
        ([1, 2], "list"),
        ({}, "dict"),
    ],
)
def test_what_is_no_state_dict_is_named(tmp_path, write, content, message):
    write(tmp_path / "w.pth", content)
    with pytest.raises(InputError, match=rf"w\.pth .*{message}.*state_dict\(\)"):
        read_arrays(tmp_path / "w.pth")


def test_damaged_files_are_refused_wherever_they_end(tmp_path, write):
    write(tmp_path / "whole.pth", _STATE)
    data = (tmp_path / "whole.pth").read_bytes()
    for end in range(0, len(data), 41):
        (tmp_path / "w.pth").write_bytes(data[:end])
        with pytest.raises(InputError, match=r"w\.pth "):
            read_arrays(tmp_path / "w.pth")


@pytest.mark.parametrize("change", [(b"head.bias", b"head.bia\xff"), (b"data/0", b"data/9")])
def test_damaged_archives_are_refused(tmp_path, change):
    write_zip(tmp_path / "w.pth", _STATE)
    data = (tmp_path / "w.pth").read_bytes()
    assert change[0] in data
    (tmp_path / "w.pth").write_bytes(data.replace(*change))
    with pytest.raises(InputError, match=r"w\.pth "):
        read_arrays(tmp_path / "w.pth")


def test_an_archive_that_unpacks_to_more_than_it_is_is_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "w.pth", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data.pkl", bytes(1 << 20))
    with pytest.raises(InputError, match=r"w\.pth .*compressed"):
        read_arrays(tmp_path / "w.pth")


def test_a_tensor_may_not_reach_beyond_its_bytes(tmp_path, write):
    class Longer(np.ndarray):
        @property
        def shape(self):
            return (3, 4)

    write(tmp_path / "w.pth", {"w": np.zeros((2, 4), np.float32).view(Longer)})
    with pytest.raises(InputError, match=r"w\.pth .*\(3, 4\)"):
        read_arrays(tmp_path / "w.pth")


def test_an_unknown_opcode_is_named(tmp_path):
    (tmp_path / "w.pth").write_bytes(b"\x80\x02(cos\nsystem\no.")
    with pytest.raises(InputError, match="OBJ"):
        read_arrays(tmp_path / "w.pth")
