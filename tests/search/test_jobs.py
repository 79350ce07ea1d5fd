"""Parcels: a job finds its files on another machine, and what it makes comes back whole."""

import pathlib

import pytest

from sesr_jax.errors import InputError
from sesr_jax.search import jobs
from sesr_jax.search.jobs import do_parcel, pack, read_files, write_files

_OLD = {"log.jsonl": b"old", "expanded.safetensors": b"old", "checkpoints/2/d/0": b"old"}
_NEW = {
    "log.jsonl": b"new",
    "expanded.safetensors": b"new",
    "checkpoints/4/d/0": b"new",
    "checkpoints/4/_METADATA": b"new",
}


def _work(job):
    folder = pathlib.Path(job["folder"])
    found = {"folder": read_files(folder), "parent": read_files(pathlib.Path(job["parent"]))}
    (folder / "checkpoints" / "2").rename(folder / "checkpoints" / "4")
    if job["refuses"]:
        raise InputError("no images")
    return found


def _make_job(place, **settings):
    for name in ("own", "other"):
        write_files(place / name, _OLD)
        (place / name / "rungs.json").write_text("{}")
    return {
        "folder": str(place / "own"),
        "parent": str(place / "other"),
        "refuses": False,
    } | settings


def test_a_job_finds_its_files_and_its_parent_s_weights_elsewhere(tmp_path):
    answer = do_parcel(_work, pack(_make_job(tmp_path)))
    assert answer["result"]["folder"] == _OLD
    assert answer["result"]["parent"] == {"expanded.safetensors": b"old"}
    write_files(tmp_path / "own", answer["folder"])
    assert read_files(tmp_path / "own") == {
        name.replace("/2/", "/4/"): content for name, content in _OLD.items()
    }
    assert (tmp_path / "own" / "rungs.json").exists()


@pytest.mark.parametrize("parent", ["", "nowhere"])
def test_a_job_without_files_begins_with_none(tmp_path, parent):
    job = {"folder": str(tmp_path / "new"), "parent": parent}
    answer = do_parcel(lambda job: {"files": read_files(pathlib.Path(job["folder"]))}, pack(job))
    assert answer["result"] == {"files": {}}


def test_what_a_job_refuses_is_told(tmp_path):
    answer = do_parcel(_work, pack(_make_job(tmp_path, refuses=True)))
    assert answer == {"refusal": "no images"}


@pytest.mark.parametrize("writes", range(len(_NEW)))
def test_files_that_arrive_leave_a_whole_checkpoint_wherever_their_writing_ends(
    tmp_path, monkeypatch, writes
):
    write_files(tmp_path, _OLD)
    (tmp_path / ".arriving-before" / "4").mkdir(parents=True)  # of a process that was killed

    def write_file(path, content, whole=jobs.write_file, left=[writes]):  # noqa: B006
        left[0] -= 1
        if left[0] < 0:
            raise KeyboardInterrupt
        whole(path, content)

    with monkeypatch.context() as patch:
        patch.setattr(jobs, "write_file", write_file)
        with pytest.raises(KeyboardInterrupt):
            write_files(tmp_path, _NEW)
    old = tmp_path / "checkpoints" / "2"
    assert list((tmp_path / "checkpoints").rglob("*")) == [old, old / "d", old / "d" / "0"]
    for _ in range(2):  # the same files may come again
        write_files(tmp_path, _NEW)
        assert read_files(tmp_path) == _NEW
        assert not list(tmp_path.glob(".*"))
