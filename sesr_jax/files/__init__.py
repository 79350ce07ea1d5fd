"""Files: writing them whole or not at all, reading them likewise, and locking folders."""

from sesr_jax.files.arrays import read_safetensors
from sesr_jax.files.folders import lock_folder, make_folder
from sesr_jax.files.writing import (
    check_distinct,
    check_writable,
    replace_file,
    replace_files,
    write_file,
)

__all__ = [
    "check_distinct",
    "check_writable",
    "lock_folder",
    "make_folder",
    "read_safetensors",
    "replace_file",
    "replace_files",
    "write_file",
]
