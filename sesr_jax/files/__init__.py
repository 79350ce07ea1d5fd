"""Files: writing them whole or not at all, reading them likewise, and locking folders."""

from sesr_jax.files.arrays import (
    compute_checksums,
    find_damaged,
    find_not_finite,
    read_metadata,
    read_safetensors,
    write_safetensors,
)
from sesr_jax.files.folders import lock_folder, make_folder
from sesr_jax.files.writing import (
    check_distinct,
    check_writable,
    make_refusal,
    replace_file,
    replace_files,
    write_file,
)

__all__ = [
    "check_distinct",
    "check_writable",
    "compute_checksums",
    "find_damaged",
    "find_not_finite",
    "lock_folder",
    "make_folder",
    "make_refusal",
    "read_metadata",
    "read_safetensors",
    "replace_file",
    "replace_files",
    "write_file",
    "write_safetensors",
]
