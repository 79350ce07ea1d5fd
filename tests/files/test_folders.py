"""A folder is locked while a process works in it."""

import subprocess
import sys

import pytest

from sesr_jax.errors import InputError
from sesr_jax.files import lock_folder

_ENTER = """
import sys, time
from sesr_jax.files import lock_folder
with lock_folder(sys.argv[1]):
    print("in", flush=True)
    time.sleep(20)
"""


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
