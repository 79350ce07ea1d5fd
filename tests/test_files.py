import subprocess
import sys

import numpy as np
import pytest
from safetensors.numpy import save_file

from sesr_jax.errors import InputError
from sesr_jax.files import lock_folder, read_safetensors, replace_file

_ENTER = """
import sys, time
from sesr_jax.files import lock_folder
with lock_folder(sys.argv[1]):
    print("in", flush=True)
    time.sleep(20)
"""


def test_a_file_appears_whole(tmp_path):
    path = tmp_path / "new" / "a.txt"
    with replace_file(path) as temporary:
        temporary.write_text("1")
        assert temporary.suffix == ".txt"
        assert not path.exists()
    assert path.read_text() == "1"
    assert list(path.parent.iterdir()) == [path]


def test_a_failure_leaves_what_stood_there(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")

    def fail_half_way() -> None:
        with replace_file(path) as temporary:
            temporary.write_text("new")
            raise RuntimeError("half way")

    with pytest.raises(RuntimeError, match="half way"):
        fail_half_way()
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_what_the_file_system_refuses_is_one_sentence(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="file/x"), replace_file(tmp_path / "file" / "x"):
        pass


def test_safetensors_are_read_whole_or_refused(tmp_path):
    path = tmp_path / "w.safetensors"
    save_file({"a": np.arange(3)}, path, {"made": "here"})
    arrays, metadata = read_safetensors(path)
    np.testing.assert_array_equal(arrays["a"], np.arange(3))
    assert (arrays.keys(), metadata) == ({"a"}, {"made": "here"})
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(InputError, match=r"w\.safetensors"):
        read_safetensors(path)


def test_a_folder_is_for_one_at_a_time(tmp_path):
    folder = tmp_path / "new"
    with lock_folder(folder):
        taken = subprocess.run(
            [sys.executable, "-c", _ENTER, folder], capture_output=True, text=True
        )
        assert str(folder) in taken.stderr
    with lock_folder(folder):
        pass


def test_a_killed_process_leaves_its_folder_to_others(tmp_path):
    with subprocess.Popen(
        [sys.executable, "-c", _ENTER, tmp_path], stdout=subprocess.PIPE
    ) as other:
        assert other.stdout.readline()
        with pytest.raises(InputError, match=str(tmp_path)), lock_folder(tmp_path):
            pass
        other.kill()
    with lock_folder(tmp_path):
        pass
