"""What a stranger's run folder or config says is checked by type, and refused in one sentence."""

import json

import ml_collections
import pytest

from sesr_jax.errors import InputError
from sesr_jax.recipes import read_config as read_recipe
from sesr_jax.train import base, load_network, read_log
from sesr_jax.train.checkpoint import claim, get_hardware, read_config
from sesr_jax.train.config import stage
from sesr_jax.train.validation import validate


@pytest.fixture
def run(tmp_path):
    config = base()
    config.stages = (stage(), stage("collapse", steps=100))
    claim(tmp_path / "run", config)
    assert read_config(tmp_path / "run").to_json() == config.to_json()
    return tmp_path / "run"


def _edit(run, path, value):
    content = json.loads((run / "config.json").read_text("utf-8"))
    place = content
    *steps, last = path.split(".")
    for step in steps:
        place = place[int(step) if step.isdigit() else step]
    if value is KeyError:
        del place[last]
    else:
        place[last] = value
    (run / "config.json").write_text(json.dumps(content), encoding="utf-8")


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("config", 3),
        ("config", KeyError),
        ("config.model", []),
        ("config.model.scale", "2"),
        ("config.model.scale", True),
        ("config.model.scale", 10**30),
        ("config.model.options", 3),
        ("config.optim", None),
        ("config.optim.lr", "fast"),
        ("config.optim.lr", float("nan")),
        ("config.data.intensities", 1.0),
        ("config.data.intensities", ["x"]),
        ("config.quant.exclude", [1]),
        ("config.stages", {"entry": "none"}),
        ("config.stages", ["none"]),
        ("config.stages", [{"entry": "explode"}]),
        ("config.stages", [{"entry": ["none"]}]),
        ("config.stages", [{"entry": "grow_basis", "added": 0}]),
        ("hardware", 3),
        ("teacher", ["x"]),
        ("format", "1"),
    ],
)
def test_a_config_of_other_types_is_refused(run, path, value):
    _edit(run, path, value)
    with pytest.raises(InputError, match=r"config\.json") as refused:
        read_config(run)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("content", [b"[]", b"{", b"\xff", b"[" * 10_000, b"9" * 5000])
def test_a_config_that_is_none_is_refused(run, content):
    (run / "config.json").write_bytes(content)
    for read in (read_config, get_hardware, load_network):
        with pytest.raises(InputError, match=r"config\.json"):
            read(run)


def test_a_network_that_cannot_be_is_refused_before_it_is_made(run):
    for options in ({"features": 10**9}, {"name": "x"}, {"key": 1}, {"form": ["acnet"]}):
        _edit(run, "config.model.options", options)
        with pytest.raises(InputError, match=min(options)):
            load_network(run)


@pytest.mark.parametrize(
    "line",
    [
        b"[1]",
        b'{"psnr": 3}',
        b'{"step": "1"}',
        b'{"step": 1.5}',
        b'{"step": -1}',
        b'{"step": 1, "psnr": null}',
        b'{"step": 1, "steps_per_second": 0}',
        b'{"step": 1',
        b"[" * 10_000,
    ],
)
def test_a_line_of_a_log_that_is_none_is_refused_by_its_number(tmp_path, line):
    sound = b'{"step": 1, "psnr": NaN}'
    (tmp_path / "log.jsonl").write_bytes(b"\n".join([sound, line, sound]))
    with pytest.raises(InputError, match=r"log\.jsonl: line 2"):
        list(read_log(tmp_path))


def test_a_config_file_that_ends_the_process_is_refused(tmp_path):
    for text in ("raise SystemExit", "import sys\ndef get_config(): sys.exit(0)"):
        (tmp_path / "c.py").write_text(text, encoding="utf-8")
        with pytest.raises(InputError, match=r"c\.py"):
            read_recipe(str(tmp_path / "c.py"))


def test_a_config_that_lacks_a_part_is_refused():
    config = base()
    with config.unlocked():
        del config.optim
    with pytest.raises(InputError, match=r"config\.optim is missing"):
        validate(config)
    config = base()
    config.stages = ({"entry": "none", "data": 3},)
    with pytest.raises(InputError, match=r"config\.stages\[0\]"):
        validate(config)
    config = base()
    config.stages = ({"entry": "none"},)
    config.init = "w.safetensors"
    validate(config)
    with pytest.raises(InputError, match="it must be a table"):
        validate(ml_collections.ConfigDict({**base().to_dict(), "optim": 3}))
