"""What led to a network: runs are followed back to fresh weights, and no further than they count."""

import json

import numpy as np
import pytest
from safetensors.numpy import save_file

from sesr_jax.train import EXPANDED, base, checkpoint, read_history
from sesr_jax.train.checkpoint import claim, get_hardware, note_hardware, read_config
from sesr_jax.train.hardware import describe_hardware


def _run(folder, steps, init=""):
    """A run's folder with a log: at each ten steps a PSNR, and 2 steps a second."""
    config = base()
    config.update(steps=steps, init=str(init))
    claim(folder, config)
    note_hardware(folder)
    lines = [
        {"step": s, "psnr": 30.0 + s, "steps_per_second": 2.0} for s in range(10, steps + 1, 10)
    ]
    (folder / "log.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return folder


def _save(path, **facts):
    path.parent.mkdir(exist_ok=True)
    save_file({"w": np.zeros(1, np.float32)}, path, facts)
    return path


def test_a_run_from_fresh_weights_is_one_run(tmp_path):
    (past,) = read_history(_run(tmp_path / "a", 40)).runs
    assert (past.run.name, past.steps, past.hardware) == ("a", 40, describe_hardware())
    assert past.hours == pytest.approx(40 / 2 / 3600)
    assert past.curve == [(s, 30.0 + s) for s in (10, 20, 30, 40)]


def test_runs_are_followed_to_the_step_whose_weights_were_taken(tmp_path):
    first = _run(tmp_path / "a", 40)
    _save(first / EXPANDED, step="30")
    last = _run(tmp_path / "b", 20, first / EXPANDED)
    assert [(past.run.name, past.steps) for past in read_history(last).runs] == [
        ("a", 30),
        ("b", 20),
    ]
    (first / EXPANDED).unlink()
    assert read_history(last).runs[0].steps == 40


def test_a_run_that_began_with_a_runs_folder_follows_all_of_it(tmp_path):
    last = _run(tmp_path / "b", 20, _run(tmp_path / "a", 40))
    history = read_history(last)
    assert [(past.run.name, past.steps) for past in history.runs] == [("a", 40), ("b", 20)]
    assert history.start is None


def test_weights_from_elsewhere_are_named_unless_their_run_is(tmp_path):
    weights = _save(tmp_path / "elsewhere" / "w.safetensors")
    last = _run(tmp_path / "b", 20, weights)
    history = read_history(last)
    assert ([past.run.name for past in history.runs], history.start) == (["b"], weights)
    history = read_history(last, (_run(tmp_path / "a", 40), 10))
    assert [(past.run.name, past.steps) for past in history.runs] == [("a", 10), ("b", 20)]
    assert (history.runs[0].curve, history.start) == ([(10, 40.0)], None)


def test_a_run_that_does_not_say_its_hardware(tmp_path):
    run = _run(tmp_path / "a", 10)
    content = json.loads((run / "config.json").read_text())
    del content["hardware"]
    (run / "config.json").write_text(json.dumps(content))
    assert get_hardware(run) is None


def test_hardware_is_that_of_the_steps_and_not_of_who_looks_at_the_run(tmp_path, monkeypatch):
    run, here = _run(tmp_path / "a", 10), describe_hardware()
    monkeypatch.setattr(checkpoint, "describe_hardware", lambda: "8 × TPU v4")
    claim(run, read_config(run))
    assert get_hardware(run) == here
    for _ in range(2):
        note_hardware(run)
        assert get_hardware(run) == f"{here}, then 8 × TPU v4"
