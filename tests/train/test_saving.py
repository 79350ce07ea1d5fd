"""Checkpoints notice flipped bits, survive full disks, and hold no weights that are not finite."""

import contextlib
import gc
import pathlib
import resource
import shutil

import jax
import ml_collections
import numpy as np
import orbax.checkpoint as ocp
import pytest

from sesr_jax import train
from sesr_jax.errors import InputError
from sesr_jax.train.saving import open_manager

# 2026-11: Orbax 0.12.8 abandons its other coroutines when one read or write fails.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")


@pytest.fixture(autouse=True)
def _orbax_debris():
    yield
    gc.collect()


@pytest.fixture(scope="module")
def config(photos) -> ml_collections.ConfigDict:
    """A config of seconds, with two checkpoints."""
    made = train.base()
    made.model.update(name="sesr_m3", scale=2)
    made.model.options = ml_collections.ConfigDict({"expansion": 8, "blocks": 1})
    made.data.update(train=str(photos), eval=str(photos), patch=8, batch=2)
    made.update(steps=4, steps_per_call=2, eval_every=4, checkpoint_every=2)
    return made


@pytest.fixture(scope="module")
def trained(config, tmp_path_factory) -> pathlib.Path:
    """A run that is done."""
    run = tmp_path_factory.mktemp("runs") / "whole"
    train.train(config, run, progress=False)
    return run


@pytest.fixture
def run(trained, tmp_path) -> pathlib.Path:
    """A copy of it."""
    return shutil.copytree(trained, tmp_path / "run")


def _read(run):
    return jax.tree.leaves(train.load_network(run).variables)


def _equal(found, expected):
    return all(np.array_equal(a, b) for a, b in zip(found, expected, strict=True))


def test_a_flipped_bit_is_noticed_or_changes_no_weight(run):
    expected = _read(run)
    step = run / "checkpoints" / "4"
    files = [path for path in step.rglob("d/*") if path.stat().st_size > 4000]
    rng = np.random.default_rng(0)
    refused = 0
    for _ in range(8):
        path = files[rng.integers(len(files))]
        whole = path.read_bytes()
        flipped = bytearray(whole)
        flipped[rng.integers(len(whole))] ^= 1 << rng.integers(8)
        path.write_bytes(flipped)
        try:
            assert _equal(_read(run), expected)
        except InputError as error:
            refused += 1
            assert all(str(run / "checkpoints" / n) in str(error) for n in "24")  # noqa: PT017
        path.write_bytes(whole)
    assert refused > 1


def test_the_last_checkpoint_that_is_whole_is_named(run, config):
    for step in (4, 2):
        remove = run / "checkpoints" / str(step) / "_CHECKPOINT_METADATA"
        remove.write_text(remove.read_text().replace('"crc32": {"', '"crc32": {"x'))
        with pytest.raises(InputError, match="checkpoints/4 ") as refusal:
            train.train(config, run, progress=False)
        assert ("checkpoints/2," in str(refusal.value)) == (step == 4)
    for step in (4, 2):
        (run / "checkpoints" / str(step) / "_CHECKPOINT_METADATA").write_text("")
    with pytest.raises(InputError, match="checkpoints/4 "):
        train.load_network(run)


def test_checkpoints_without_checksums_are_read_unless_weights_are_not_finite(run):
    expected = _read(run)
    with open_manager(run) as steps:
        state = steps.restore(4, args=ocp.args.StandardRestore())
        steps.delete(4)
        steps.save(4, args=ocp.args.StandardSave(state))
    assert _equal(_read(run), expected)
    with open_manager(run) as steps:
        steps.delete(4)
        state["ema"] = jax.tree.map(lambda x: x * np.nan, state["ema"])
        steps.save(4, args=ocp.args.StandardSave(state))
    with pytest.raises(InputError, match=r"step 4 .*\(params/"):
        train.load_network(run)


def test_weights_that_are_not_finite_are_not_saved(config, tmp_path):
    """The loss of a step is that of the weights before it."""
    changed = config.copy_and_resolve_references()
    changed.optim.update(name="rmsprop", lr=3e38)
    changed.update(steps=1, steps_per_call=1, eval_every=1, checkpoint_every=1)
    with pytest.raises(InputError, match=r"params/\S+ is (nan|-?inf) at step 1"):
        train.train(changed, tmp_path, progress=False)
    assert not list((tmp_path / "checkpoints").iterdir())


@contextlib.contextmanager
def _limit_file_size(size):
    """Refuses bytes beyond `size` in every file, which needs no rights."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_full_disk_is_one_sentence_and_the_same_command_resumes(
    config, trained, tmp_path, caplog, capfd
):
    half = config.copy_and_resolve_references()
    half.steps = 2
    train.train(half, tmp_path, progress=False)
    capfd.readouterr()
    with (
        _limit_file_size(4000),
        pytest.raises(InputError, match=r"checkpoints: .*File too large.*checkpoints/2\b"),
    ):
        train.train(config, tmp_path, progress=False)
    assert not [record for record in caplog.records if record.levelname == "ERROR"]
    assert [path.name for path in (tmp_path / "checkpoints").iterdir()] == ["2"]
    train.train(config, tmp_path, progress=False)
    assert _equal(_read(tmp_path), _read(trained))


def test_no_checkpoint_is_begun_without_room_for_it(config, tmp_path, monkeypatch):
    usage = shutil.disk_usage(tmp_path)._replace(free=10_000)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    with pytest.raises(InputError, match=r"checkpoints: .*No space left on device"):
        train.train(config, tmp_path, progress=False)
    assert not list((tmp_path / "checkpoints").iterdir())


def test_what_a_killed_run_left_unfinished_is_removed(config, run):
    left = run / "checkpoints" / "6.orbax-checkpoint-tmp"
    shutil.copytree(run / "checkpoints" / "4", left)
    longer = config.copy_and_resolve_references()
    longer.steps = 6
    train.train(longer, run, progress=False)
    assert sorted(path.name for path in (run / "checkpoints").iterdir()) == ["2", "4", "6"]
