"""Files of strangers are read in bounded time, memory and depth, or refused in one sentence."""

import io
import os
import socket
import zipfile

import numpy as np
import pytest

from sesr_jax.errors import InputError, MissingError
from sesr_jax.untrusted import (
    check_regular,
    parse_json,
    parse_toml,
    read_bytes,
    read_npz,
    read_text,
    refuse_damaged,
)


def _refusal(function, *args):
    with pytest.raises(InputError) as refused:
        function(*args)
    message = str(refused.value)
    assert "\n" not in message
    assert len(message) < 500
    return message


def test_what_is_no_regular_file_is_refused_and_not_opened(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    server = socket.socket(socket.AF_UNIX)
    server.bind(str(tmp_path / "socket"))
    server.close()
    for path, kind in (
        (tmp_path / "pipe", "a pipe"),
        (tmp_path / "socket", "a socket"),
        (tmp_path, "a folder"),
        ("/dev/zero", "a device"),
        ("a\0b", "null"),
    ):
        assert kind in _refusal(check_regular, path)
        assert kind in _refusal(read_bytes, path)
    (tmp_path / "file").write_text("")
    with pytest.raises(MissingError, match="none"):
        read_bytes(tmp_path / "none")
    with pytest.raises(MissingError, match="none"):
        read_bytes(tmp_path / "file" / "none")


def test_text_that_is_no_utf_8_is_refused(tmp_path):
    (tmp_path / "x.toml").write_bytes(b"a = '\xff'")
    assert "x.toml" in _refusal(read_text, tmp_path / "x.toml")


def test_json_and_toml_are_read():
    assert parse_json('{"a": [1, -2.5, null, "é"]}', "x") == {"a": [1, -2.5, None, "é"]}
    assert parse_toml("a = 1\n[b]\nc = [2]", "x") == {"a": 1, "b": {"c": [2]}}


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "[" * 100_000,
        "[" * 101 + "]" * 101,
        '{"a":' * 50_000 + "1" + "}" * 50_000,
        "9" * 5000,
        "1" * 20,
        "[NaN]",
        "[1e999]",
        "\ud800",
        b"\xff\xfe",
    ],
    ids=repr,
)
def test_json_that_is_deep_huge_or_none_is_refused(text):
    assert _refusal(parse_json, text, "the metadata of x").startswith("the metadata of x")


@pytest.mark.parametrize(
    "text",
    ["a = ", "a = " + "[" * 2000, "a = " + "9" * 5000, f"{'a.' * 500}a = 1", "#" * (1 << 21)],
    ids=lambda text: text[:20],
)
def test_toml_that_is_deep_huge_or_none_is_refused(text):
    assert _refusal(parse_toml, text, "x.toml").startswith("x.toml")


def _npy(array=None, header=None):
    file = io.BytesIO()
    np.save(file, np.zeros(3) if array is None else array, allow_pickle=True)
    data = file.getvalue()
    return data if header is None else data.replace(b"(3,), ", header.ljust(6))


def _zip(path, entries, compression=zipfile.ZIP_DEFLATED):
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, data in entries.items():
            archive.writestr(name, data)
    return path


def test_an_npz_gives_its_arrays(tmp_path):
    arrays = {
        "a": np.arange(6.0).reshape(2, 3),
        "b": np.array("text"),
        "c": np.zeros((0, 2), np.int8),
    }
    np.savez_compressed(tmp_path / "x.npz", **arrays)
    found = read_npz(tmp_path / "x.npz")
    assert found.keys() == arrays.keys()
    for name, array in arrays.items():
        np.testing.assert_array_equal(found[name], array)
        assert found[name].dtype == array.dtype


@pytest.mark.parametrize(
    "entries",
    [
        {"a.npy": _npy(header=b"(9**9,)")},
        {"a.npy": _npy().replace(b"(3,)", b"(9,)")},
        {"a.npy": _npy(np.array([{}]))},
        {"a.npy": b"no array"},
        {"a.npy": b""},
        {"a.npy": _npy(np.zeros(1 << 20))[:-9]},
    ],
    ids=["formula", "size", "pickled", "text", "empty", "cut"],
)
def test_an_npz_that_lies_is_refused_before_its_memory_is_taken(tmp_path, entries):
    path = _zip(tmp_path / "x.npz", entries)
    assert path.stat().st_size < 2 << 20
    assert "x.npz" in _refusal(read_npz, path)


def test_an_npz_that_unpacks_to_more_than_a_gibibyte_is_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "x.npz", "w") as archive:
        archive.writestr("a.npy", _npy())
        archive.filelist[0].file_size = (1 << 30) + 1
    assert f"{(1 << 30) + 1:,} bytes" in _refusal(read_npz, tmp_path / "x.npz")


def test_an_npz_whose_bytes_are_damaged_is_refused(tmp_path):
    path = _zip(tmp_path / "x.npz", {"a.npy": _npy(np.arange(1000.0))})
    data = bytearray(path.read_bytes())
    data[300:310] = bytes(10)
    path.write_bytes(data)
    assert "x.npz" in _refusal(read_npz, path)


def test_what_readers_raise_becomes_one_sentence_but_what_ends_the_process_does_not():
    for error in (KeyError("a"), RecursionError("x\ny"), ZeroDivisionError(), MemoryError()):
        with (
            pytest.raises(InputError, match=r"^x is damaged \([^\n]+\)\.$"),
            refuse_damaged("x is damaged"),
        ):
            raise error
    with pytest.raises(InputError, match=r"^as it was$"), refuse_damaged("x is damaged"):
        raise InputError("as it was")
    with pytest.raises(KeyboardInterrupt), refuse_damaged("x is damaged"):
        raise KeyboardInterrupt
