"""Jobs, and the parcels in which they travel to machines that share no folder with this one.

A job is plain data. Its "folder" is what it works in, and its "parent" is the folder of another job, whose
weights it reads, or "". A parcel holds the job and the bytes of these files, and what comes back holds the
result and the bytes of the folder.
"""

import pathlib
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from sesr_jax.errors import InputError
from sesr_jax.files import make_folder, write_file
from sesr_jax.search.record import RECORDS
from sesr_jax.train.training import EXPANDED

Job = Mapping[str, Any]
Work = Callable[[Job], Mapping[str, Any]]
"""A function of a module, which does a job and returns plain data."""

Results = Iterator[tuple[str, Mapping[str, Any]]]
RunJobs = Callable[[Work, Mapping[str, Job]], Results]
"""Yields the name and the result of each job, as they come."""

Files = Mapping[str, bytes]
"""The content of a folder's files by their paths in it."""

_CHECKPOINTS = "checkpoints"
_ARRIVING = ".arriving-"


def pack(job: Job) -> dict[str, Any]:
    """Returns the parcel of a job: the job, its folder and its parent's weights."""
    weights = pathlib.Path(job["parent"]) / EXPANDED
    parent = {EXPANDED: weights.read_bytes()} if job["parent"] and weights.exists() else {}
    return {"job": dict(job), "folder": read_files(pathlib.Path(job["folder"])), "parent": parent}


def do_parcel(work: Work, parcel: Mapping[str, Any]) -> dict[str, Any]:
    """Does the job of a parcel in folders of its own; returns "result" and "folder", or a "refusal".

    The refusal is the text of the `InputError` that `work` raised.
    """
    job = parcel["job"]
    with tempfile.TemporaryDirectory(prefix="sesr-candidate-") as place:
        folder, parent = pathlib.Path(place) / "folder", pathlib.Path(place) / "parent"
        write_files(folder, parcel["folder"])
        write_files(parent, parcel["parent"])
        here = {"folder": str(folder), "parent": str(parent) if job["parent"] else ""}
        try:
            result = work({**job, **here})
        except InputError as error:
            return {"refusal": str(error)}
        return {"result": dict(result), "folder": read_files(folder)}


def read_files(folder: pathlib.Path) -> dict[str, bytes]:
    """Returns the files of a job's folder, without the search's records; none where there is no folder."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name not in RECORDS and _ARRIVING not in str(path)
    }


def write_files(folder: pathlib.Path, files: Files) -> None:
    """Writes files into a folder, so that a training can go on there whenever this process dies.

    Each checkpoint takes its place whole, after all other files and before other checkpoints are removed.

    Raises:
      InputError: the file system refuses.
    """
    make_folder(folder)
    for left in folder.glob(f"{_ARRIVING}*"):
        shutil.rmtree(left, ignore_errors=True)
    steps = set()
    with tempfile.TemporaryDirectory(prefix=_ARRIVING, dir=folder) as place:
        for name, content in files.items():
            top, _, rest = name.partition("/")
            if top == _CHECKPOINTS:
                steps.add(rest.partition("/")[0])
                write_file(pathlib.Path(place) / rest, content)
            else:
                write_file(folder / name, content)
        checkpoints = make_folder(folder / _CHECKPOINTS)
        for step in steps:
            if not (checkpoints / step).exists():  # a step is written once, and always the same
                (pathlib.Path(place) / step).rename(checkpoints / step)
    for path in checkpoints.iterdir():
        if path.name not in steps:
            shutil.rmtree(path, ignore_errors=True)
