"""Files of arrays are read whole or refused."""

import io

import numpy as np
import pytest
from safetensors.numpy import save_file

from sesr_jax.errors import InputError
from sesr_jax.files import (
    compute_checksums,
    find_damaged,
    read_safetensors,
    write_safetensors,
)
from sesr_jax.untrusted import read_npz


def test_safetensors_are_read_whole_or_refused(tmp_path):
    path = tmp_path / "w.safetensors"
    save_file({"a": np.arange(3)}, path, {"made": "here"})
    arrays, metadata = read_safetensors(path)
    np.testing.assert_array_equal(arrays["a"], np.arange(3))
    assert (arrays.keys(), metadata) == ({"a"}, {"made": "here"})
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(InputError, match=r"w\.safetensors"):
        read_safetensors(path)


def _same(found, expected):
    return found.keys() == expected.keys() and all(
        (a.dtype, a.shape, a.tobytes()) == (b.dtype, b.shape, b.tobytes())
        for a, b in ((found[name], expected[name]) for name in expected)
    )


_ARRAYS = {
    "a": np.arange(12, dtype=np.float32).reshape(3, 4),
    "b": np.zeros((), np.int32),
    "c": np.arange(5, dtype=np.int8),
}


def _flips(content, count):
    """Yields a place, and the content with one of its bits flipped there."""
    rng = np.random.default_rng(0)
    for place in rng.choice(len(content), count, replace=False):
        flipped = bytearray(content)
        flipped[place] ^= 1 << rng.integers(8)
        yield place, bytes(flipped)


def test_a_flipped_bit_of_a_safetensors_file_is_noticed_or_changes_nothing(tmp_path):
    whole, path = tmp_path / "w.safetensors", tmp_path / "v.safetensors"
    write_safetensors(whole, _ARRAYS, {"model": "m5", "scale": "2"})
    content = whole.read_bytes()
    arrays, metadata = read_safetensors(whole)
    assert _same(arrays, _ARRAYS)
    data = 8 + int.from_bytes(content[:8], "little")
    refused, count = 0, len(content) // 4
    for place, flipped in _flips(content, count):
        path.write_bytes(flipped)
        try:
            found, facts = read_safetensors(path)
        except InputError:
            refused += 1
            continue
        assert place < data
        assert _same(found, _ARRAYS)
        assert all(facts.get(key) == metadata[key] for key in ("model", "scale"))
    assert refused > 0.9 * count


def test_arrays_without_checksums_are_read(tmp_path):
    save_file(_ARRAYS, tmp_path / "w.safetensors")
    assert _same(read_safetensors(tmp_path / "w.safetensors")[0], _ARRAYS)


def test_what_is_missing_or_added_is_damage():
    checksums = compute_checksums(_ARRAYS)
    assert find_damaged(_ARRAYS, checksums) is None
    assert find_damaged({**_ARRAYS, "d": np.zeros(1)}, checksums) == "d"
    assert find_damaged({"a": _ARRAYS["a"], "b": _ARRAYS["b"]}, checksums) == "c"
    assert find_damaged({**_ARRAYS, "b": np.ones((), np.int32)}, checksums) == "b"


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_a_flipped_bit_of_an_npz_file_is_noticed_or_changes_no_array(save, tmp_path):
    file = io.BytesIO()
    save(file, **_ARRAYS)
    content = file.getvalue()
    path = tmp_path / "w.npz"
    path.write_bytes(content)
    assert _same(read_npz(path), _ARRAYS)
    refused, count = 0, len(content) // 2
    for _, flipped in _flips(content, count):
        path.write_bytes(flipped)
        try:
            found = read_npz(path)
        except InputError:
            refused += 1
            continue
        # A flipped bit of the zip's directory may hide an array; whoever needs it misses it.
        assert _same(found, {name: _ARRAYS[name] for name in found})
    assert refused > 0.3 * count


def test_an_array_that_a_damaged_header_shortens_is_noticed(tmp_path):
    """NumPy does not read to the end, where the checksum would be compared."""
    file = io.BytesIO()
    np.savez(file, a=np.zeros((900, 100), np.int8))
    shortened = file.getvalue().replace(b"'shape': (900, 100)", b"'shape': (200, 100)")
    assert np.load(io.BytesIO(shortened))["a"].shape == (200, 100)
    (tmp_path / "w.npz").write_bytes(shortened)
    with pytest.raises(InputError, match=r"w\.npz"):
        read_npz(tmp_path / "w.npz")
