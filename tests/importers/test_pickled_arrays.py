"""Pickled arrays of NumPy and jax are read, and nothing that a pickle names is run."""

import os
import pickle
import zipfile

import jax.numpy as jnp
import numpy as np
import pytest

from sesr_jax.errors import InputError
from sesr_jax.importers import read_arrays
from sesr_jax.importers.pickles import PickleError, Unknown, follow

_ARRAYS = {
    "net/conv": {
        "w": np.arange(24, dtype=np.float32).reshape(2, 3, 4),
        "columns": np.asfortranarray(np.arange(6.0).reshape(2, 3)),
        "none": np.zeros((0, 3), np.float16),
        "one": np.array(True),
    },
    "big": np.arange(3, dtype=">i4"),
}


class _Runs:
    """An object whose reading makes a folder."""

    def __init__(self, folder):
        self.folder = folder

    def __reduce__(self):
        return os.mkdir, (str(self.folder),)


@pytest.mark.parametrize("protocol", [3, 4])  # NumPy's, before and since version 2
@pytest.mark.parametrize("make", [np.asarray, jnp.asarray])
def test_arrays_come_back(tmp_path, monkeypatch, make, protocol):
    dump = pickle.dump
    monkeypatch.setattr(pickle, "dump", lambda value, file, **_: dump(value, file, protocol))
    inner = {name: make(array) for name, array in _ARRAYS["net/conv"].items()}
    np.savez(tmp_path / "w.npz", {"net/conv": inner, "big": _ARRAYS["big"]})
    found = read_arrays(tmp_path / "w.npz")
    want = {f"net/conv/{name}": array for name, array in inner.items()} | {"big": _ARRAYS["big"]}
    assert found.keys() == want.keys()
    for name, array in want.items():
        np.testing.assert_array_equal(found[name], array)
        assert found[name].dtype == np.asarray(array).dtype


def test_what_a_pickle_would_run_is_refused_and_not_run(tmp_path):
    np.savez(tmp_path / "w.npz", {"a": {"b": _Runs(tmp_path / "made")}})
    with pytest.raises(InputError, match=r"a/b is a (posix|nt)\.mkdir"):
        read_arrays(tmp_path / "w.npz")
    assert not (tmp_path / "made").exists()


@pytest.mark.parametrize(
    ("content", "found"),
    [
        ([1, 2], "one dict"),
        ([{}, {}], "one dict"),
        ({"a": {"b": 3}}, "a/b is a int"),
        ({"a": {"b": np.array([{}, {}])}}, "a/b is a list"),
        ({"a": {"b": np.array(["text"])}}, "numpy.dtype"),
        ({"a": {"b": np.array([1j])}}, "numpy.dtype"),
    ],
)
def test_other_content_is_refused(tmp_path, content, found):
    np.savez(tmp_path / "w.npz", np.array(content, object))
    with pytest.raises(InputError, match=found):
        read_arrays(tmp_path / "w.npz")


def test_dicts_that_hold_one_dict_often_end_soon(tmp_path):
    content = {}
    for _ in range(20):
        content = {str(i): content for i in range(20)}
    np.savez(tmp_path / "w.npz", content)
    with pytest.raises(InputError, match="10,000"):
        read_arrays(tmp_path / "w.npz")


def test_an_array_of_other_bytes_than_its_shape_takes_is_refused(tmp_path):
    np.savez(tmp_path / "w.npz", {"a": np.arange(24, dtype=np.float32)})
    with zipfile.ZipFile(tmp_path / "w.npz") as archive:
        (name,), content = archive.namelist(), archive.read(archive.namelist()[0])
    damaged = content.replace(b"K\x18\x85", b"K\x19\x85")  # the pickled tuple (24,) becomes (25,)
    assert damaged != content
    with zipfile.ZipFile(tmp_path / "w.npz", "w") as archive:
        archive.writestr(name, damaged)
    with pytest.raises(InputError, match=r"w\.npz.*25"):
        read_arrays(tmp_path / "w.npz")


def test_a_pickle_that_ends_too_early_is_refused(tmp_path):
    (tmp_path / "a").write_bytes(pickle.dumps({"a": 1})[:-1])
    with (tmp_path / "a").open("rb") as file, pytest.raises((PickleError, ValueError)):
        follow(file, call=lambda function, args: Unknown(function.name))
