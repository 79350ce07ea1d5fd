"""What is read, and what is refused with a remedy."""

import sys

import numpy as np
import pytest
from safetensors.numpy import save_file

from sesr_jax.errors import InputError
from sesr_jax.importers import read_arrays
from sesr_jax.importers.arrays import Misfit, match_arrays

_ARRAYS = {
    "a/w": np.arange(6, dtype=np.float32).reshape(2, 3),
    "a/b": np.ones(3, np.float32),
}


def _same(got):
    assert got.keys() == _ARRAYS.keys()
    for name, array in _ARRAYS.items():
        np.testing.assert_array_equal(got[name], array)


def test_safetensors(tmp_path):
    save_file(_ARRAYS, tmp_path / "w.safetensors")
    _same(read_arrays(tmp_path / "w.safetensors"))


def test_npz(tmp_path):
    np.savez(tmp_path / "w.npz", **_ARRAYS)
    _same(read_arrays(tmp_path / "w.npz"))


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    """A checkpoint as `model.save_weights` leaves it, with what training adds."""
    import tensorflow as tf

    prefix = tmp_path_factory.mktemp("checkpoint") / "model_weights"
    value = "/.ATTRIBUTES/VARIABLE_VALUE"
    stored = {name + value: array for name, array in _ARRAYS.items()}
    stored[f"a/w/.OPTIMIZER_SLOT/optimizer/m{value}"] = np.zeros(3, np.float32)
    stored["_CHECKPOINTABLE_OBJECT_GRAPH"] = np.asarray(b"graph")
    tf.raw_ops.SaveV2(
        prefix=str(prefix),
        tensor_names=list(stored),
        shape_and_slices=[""] * len(stored),
        tensors=list(stored.values()),
    )
    return prefix


def test_a_tensorflow_checkpoint_by_prefix_index_and_folder(checkpoint):
    _same(read_arrays(checkpoint))
    _same(read_arrays(f"{checkpoint}.index"))
    _same(read_arrays(checkpoint.parent))


def test_half_a_tensorflow_checkpoint_is_refused(checkpoint, tmp_path):
    (tmp_path / "w.index").write_bytes(checkpoint.with_suffix(".index").read_bytes())
    with pytest.raises(InputError, match=r"/w .*TensorFlow"):
        read_arrays(tmp_path / "w")


def test_without_tensorflow_its_extra_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorflow", None)
    (tmp_path / "w.index").touch()
    with pytest.raises(InputError, match=r"sesr_jax\[export\]"):
        read_arrays(tmp_path / "w")


@pytest.mark.parametrize("wrapper", [None, "state_dict", "params"])
def test_what_pytorch_writes(tmp_path, wrapper):
    torch = pytest.importorskip("torch", reason="writing needs torch")
    state = {f"module.{name}": torch.tensor(array) for name, array in _ARRAYS.items()}
    torch.save({wrapper: state, "epoch": 3} if wrapper else state, tmp_path / "w.pt")
    _same(read_arrays(tmp_path / "w.pt"))


@pytest.mark.parametrize("name", ["w.safetensors", "w.npz"])
def test_damaged_files_are_refused(tmp_path, name):
    (tmp_path / name).write_bytes(b"PK\x03\x04 no more")
    with pytest.raises(InputError, match=name):
        read_arrays(tmp_path / name)


def test_missing_and_foreign_files_are_refused(tmp_path):
    with pytest.raises(InputError, match=r"w\.pt"):
        read_arrays(tmp_path / "w.pt")
    (tmp_path / "w.onnx").touch()
    with pytest.raises(InputError, match=r"w\.onnx .*\.safetensors"):
        read_arrays(tmp_path / "w.onnx")


def test_the_first_few_names_that_differ_are_told():
    shapes = {"a/w": (3, 2), **{f"m{i}": (1,) for i in range(5)}}
    with pytest.raises(
        Misfit,
        match=r"m0, m1, m2 and 2 more; .*a/b; .*a/w .*\(2, 3\).*\(3, 2\)",
    ):
        match_arrays(_ARRAYS, shapes)
    assert match_arrays(_ARRAYS, {k: v.shape for k, v in _ARRAYS.items()}).keys() == _ARRAYS.keys()


def test_weights_that_are_no_numbers_are_refused():
    shapes = {"a": (2,), "b": (2,)}
    assert match_arrays({"a": np.zeros(2), "b": np.ones(2)}, shapes).keys() == shapes.keys()
    with pytest.raises(InputError, match=r"^b: "):
        match_arrays({"a": np.zeros(2), "b": np.full(2, np.nan)}, shapes)
