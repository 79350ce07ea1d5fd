"""Runs that are killed or asked to end, of one process and of two: real ones, by the command."""

import os
import pathlib
import random
import signal
import socket
import subprocess
import sys
import time

import jax
import numpy as np
import pytest

from sesr_jax import train
from sesr_jax.errors import InputError, Stopped
from sesr_jax.files import read_safetensors
from sesr_jax.models import network
from sesr_jax.recipes import read_config
from sesr_jax.train import processes

_CONFIG = """
from sesr_jax import train

def get_config():
    config = train.base()
    config.model.update(name="sesr_m3", scale=2)
    config.model.options.update(expansion=8, blocks=1, features=4)
    config.data.update(train={photos!r}, eval={photos!r}, patch=8, batch=4)
    config.optim.update(name="sgd", lr=0.05)
    config.ema = 0.9
    config.update({settings})
    return config
"""

# Whole modules that a bare machine lacks, and the network.
_BARE = """
import socket, sys
for name in ("tensorflow", "tensorflow_datasets", "tensorboardX", "tensorboard", "skimage", "scipy", "grain",
             "matplotlib", "ai_edge_litert", "litert_converter", "flatbuffers", "onnx", "torch"):
    sys.modules[name] = None
def refuse(*_):
    raise AssertionError("no network")
socket.getaddrinfo = socket.socket.connect = refuse
"""

# Else the survivor would be waited for longer.
_IMPATIENT = """
import functools
from sesr_jax.train import processes
processes.join = functools.partial(processes.join, patience=20)
"""

_MAIN = "import sys; from sesr_jax.cli.main import main; sys.exit(main(sys.argv[1:]))"


@pytest.fixture(scope="module")
def cache(tmp_path_factory) -> dict[str, str]:
    """The environment in which one process compiles for all."""
    folder = tmp_path_factory.mktemp("cache")
    return os.environ | {
        "JAX_COMPILATION_CACHE_DIR": str(folder),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
        "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1",
    }


def _config(folder: pathlib.Path, photos: pathlib.Path, settings: str) -> pathlib.Path:
    path = folder / "config.py"
    path.write_text(_CONFIG.format(photos=str(photos), settings=settings))
    return path


def _start(config: pathlib.Path, run: pathlib.Path, *more: str, env, before: str = ""):
    arguments = ["train", "--config", str(config), "--workdir", str(run), "--quiet", *more]
    return subprocess.Popen(
        [sys.executable, "-c", before + _MAIN, *arguments],
        env=env,
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
    )


def _signal_after(process: subprocess.Popen, run: pathlib.Path, lines: int, number: int) -> None:
    """Sends `process` a signal at the moment when the log of the run has that many lines."""
    log = run / "log.jsonl"
    while not log.exists() or log.read_bytes().count(b"\n") < lines:
        assert process.poll() is None, process.communicate()[1]
        time.sleep(0.005)
    process.send_signal(number)


def _end(process: subprocess.Popen) -> tuple[int, str]:
    """The exit status, and what was said."""
    said = process.communicate()[1]
    return process.returncode, said


def _losses(run: pathlib.Path) -> list[tuple[float, float, float]]:
    lines = (line for line in train.read_log(run) if "loss" in line)
    return [(line["step"], line["loss"], line.get("critic", 0.0)) for line in lines]


def test_a_run_that_is_killed_and_asked_to_end_at_random_is_that_of_a_bare_machine_left_alone(
    photos, tmp_path, cache
):
    settings = "steps=400, steps_per_call=10, eval_every=400, checkpoint_every=50"
    critic = {"features": 2, "weights": {"perceptual": 0.0, "maps": 1.0}}
    stages = (train.stage(), train.stage(trainer="adversarial", adversarial=critic))
    settings += f", stages={tuple(stage.to_dict() for stage in stages)}"
    config = _config(tmp_path, photos, settings)
    alone, run = tmp_path / "alone", tmp_path / "run"
    status, said = _end(_start(config, alone, env=cache, before=_BARE))
    assert status == 0, said

    chance = random.Random(0)
    killed, asked = chance.randint(1, 30), chance.randint(45, 60)
    print(f"killed after {killed} lines of the log, asked to end after {asked}")
    first = _start(config, run, env=cache)
    _signal_after(first, run, killed, signal.SIGKILL)
    assert _end(first)[0] == -signal.SIGKILL

    second = _start(config, run, env=cache)
    _signal_after(second, run, asked, signal.SIGTERM)
    status, told = _end(second)
    assert status == 128 + signal.SIGTERM
    told = told.splitlines()[-1]
    assert "the same command resumes it" in told
    last = max(int(p.name) for p in (run / "checkpoints").iterdir() if p.name.isdigit())
    assert f"after step {last}, which is saved" in told
    # In the second stage, of two networks; two lines of the log are of the end of the first.
    assert max(400, 10 * (asked - 2)) <= last < 800

    assert _end(_start(config, run, env=cache))[0] == 0
    for name in (train.EXPANDED, train.WEIGHTS):
        (got, _), (want, _) = (read_safetensors(folder / name) for folder in (run, alone))
        jax.tree.map(np.testing.assert_array_equal, got, want)
    assert _losses(run) == _losses(alone)


def _start_two(config: pathlib.Path, run: pathlib.Path, env) -> list[subprocess.Popen]:
    with socket.socket() as free:
        free.bind(("localhost", 0))
        where = f"localhost:{free.getsockname()[1]}"
    env = env | {"XLA_FLAGS": "--xla_force_host_platform_device_count=2"}
    flags = ("--coordinator", where, "--processes", "2", "--process")
    return [_start(config, run, *flags, str(i), env=env, before=_IMPATIENT) for i in range(2)]


def test_two_processes_of_which_one_is_killed_end_as_one_process(photos, tmp_path, cache):
    """Each with two devices and half of the images; to the rounding of float32."""
    settings = "steps=40, steps_per_call=2, eval_every=40, checkpoint_every=4"
    config = _config(tmp_path, photos, settings)
    config.write_text(config.read_text().replace("return", "config.data.shards = 2\n    return"))
    chance = random.Random(1)
    run, lines, victim = tmp_path / "run", chance.randint(3, 12), chance.randint(0, 1)
    print(f"process {victim} is killed after {lines} lines of the log")
    both = _start_two(config, run, cache)
    _signal_after(both[victim], run, lines, signal.SIGKILL)
    ends = [_end(process) for process in both]  # the other one does not wait for ever
    for status, words in ends:
        assert status != 0
        # Before or behind it stands what the runtime says of its own end.
        lines = words.splitlines()
        assert sum(line.startswith("sesr train: this process ended before") for line in lines) == 1
    with pytest.raises(FileNotFoundError):
        (run / train.WEIGHTS).read_bytes()

    for status, said in map(_end, _start_two(config, run, cache)):
        assert status == 0, said
    alone = train.train(read_config(str(config)), tmp_path / "alone", progress=False)
    two = network.load(run / train.EXPANDED)
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, atol=1e-5), two.variables, alone.variables
    )
    np.testing.assert_allclose(_losses(run), _losses(tmp_path / "alone"), rtol=1e-4)
    assert train.load_network(run).name == "sesr_m3"


def test_processes_that_cannot_meet_are_refused():
    with pytest.raises(InputError, match="--coordinator HOST:PORT"):
        processes.join("localhost:1", 2, 2)


def test_a_run_hears_a_signal_and_the_second_ctrl_c_ends_it():
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # which xdist has replaced
    for number in (signal.SIGTERM, signal.SIGINT):
        with processes.listen_for_signals() as find:
            assert find() is None
            os.kill(os.getpid(), number)
            assert find() is number
    with processes.listen_for_signals():
        os.kill(os.getpid(), signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with processes.listen_for_signals() as find:
        os.kill(os.getpid(), signal.SIGINT)
        assert find() is None  # as in the background of a shell
    signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize("error", [None, RuntimeError, InputError, Stopped])
def test_a_death_is_announced_where_nothing_else_is_said(error, capfd):
    try:
        with processes.announce_death("sesr train"):
            if error:
                raise error("reason")
    except (RuntimeError, InputError, Stopped):
        pass
    said = capfd.readouterr().err
    assert said.startswith("sesr train: this process ended") if error is RuntimeError else not said


def test_shards_must_suit_the_batch_and_the_processes(photos, tmp_path, monkeypatch):
    config = train.base()
    config.model.name = "sesr_m3"
    config.model.options.update(blocks=1, expansion=8)
    config.data.update(train=str(photos), eval=str(photos), patch=8, batch=4, shards=3)
    with pytest.raises(InputError, match=r"batch is 4: .*shards = 3"):
        train.train(config, tmp_path, progress=False)
    config.data.shards = 4
    monkeypatch.setattr(jax, "process_count", lambda: 3)
    with pytest.raises(InputError, match=r"shards is 4: .* 3 processes"):
        train.train(config, tmp_path, progress=False)
