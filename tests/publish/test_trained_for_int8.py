"""A network whose own recipe trains for INT8 is compared, ships and is deployed without a float twin."""

import json
import pathlib
import re
import runpy

import numpy as np
import pytest

from sesr_jax import pretrained
from sesr_jax.cli.main import main
from sesr_jax.compare import QAT, QAT_IN_FLOAT
from sesr_jax.data import read_image, write_image
from sesr_jax.models import network
from sesr_jax.reparam.cost import make_photo_noise

_ROOT = pathlib.Path(__file__).parents[2]
_SMALL = ("model.options.features=4", "model.options.blocks=1", "data.patch=8", "data.batch=2")


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """A folder with a set of images, and a run of ABPN's recipe in small."""
    root = tmp_path_factory.mktemp("trained_for_int8")
    photo = (make_photo_noise((1, 48, 60, 3))[0] * 255).astype(np.uint8)
    write_image(root / "Set5" / "one.png", photo)
    values = [f"--config.{value}" for value in (*_SMALL, f"data.eval={root / 'Set5'}")]
    run = ["--workdir", str(root / "abpn")]
    assert main(["train", "--config", "abpn_x3:smoke", *run, *values, "--quiet"]) == 0
    return root


@pytest.fixture(scope="module")
def published(root):
    """The facts of the network, published."""
    command = ["publish", "--model", str(root / "abpn"), "--name", "abpn_small"]
    assert main([*command, "--data", str(root / "Set5"), "--out", str(root / "out")]) == 0
    return json.loads((root / "out" / "abpn_small_x3.json").read_text("utf-8"))


def test_it_is_compared_with_its_own_weights_in_float(root, capsys):
    command = ["compare", "--model", str(root / "abpn"), "--data", str(root / "Set5"), "--layers"]
    assert main([*command, "--out", str(root / "int8")]) == 0
    printed = capsys.readouterr().out
    assert re.search(rf"^{QAT_IN_FLOAT}: .*run in float", printed, re.M)
    rows = json.loads((root / "int8" / "scores.json").read_text())
    assert [row["form"] for row in rows] == [QAT_IN_FLOAT, QAT]
    assert rows[1]["layers"]
    refused = [*command, "--out", str(root / "refused"), "--calibrate", "embedded:train"]
    assert main(refused) == 2
    assert "embedded:train" in capsys.readouterr().err
    assert not (root / "refused").exists()


def test_its_facts_and_its_card_say_what_is_float(root, published):
    forms = {figure["form"] for figure in published["figures"]}
    assert forms == {QAT_IN_FLOAT, QAT}
    assert [part["stages"] for part in published["training"]] == [["none"], ["quantise"]]
    assert published["data"]["calibration"] == {}
    assert published["files"].keys() == {
        "abpn_small_x3.safetensors",
        "abpn_small_x3_qat.safetensors",
    }
    card = (root / "out" / "abpn_small_x3.md").read_text("utf-8")
    assert "the weights that were trained for INT8, run in float" in card
    assert not re.search("calibrat", card)


def test_its_two_files_hold_the_same_weights(root, published):
    plain, trained = (network.load(root / "out" / file) for file in published["files"])
    assert plain.ranges is None
    assert trained.ranges
    for kept, expected in ((plain, trained.without_ranges()), (trained, trained)):
        assert kept.variables.keys() == expected.variables.keys()
    np.testing.assert_array_equal(
        plain.variables["params"]["head"]["term"].kernel,
        trained.variables["params"]["head"]["term"].kernel,
    )


def test_it_is_deployed_by_its_name(root, published, monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(pretrained, "FOLDER", root / "out")
    assert pretrained.read_facts() == (published,)
    name, large = published["name"], tmp_path / "large.png"
    assert main(["upscale", str(root / "Set5" / "one.png"), str(large), "--model", name]) == 0
    assert read_image(large).shape == (3 * 48, 3 * 60, 3)
    assert main(["eval", "--model", name, "--data", str(root / "Set5")]) == 0
    (figure,) = (
        f for f in published["figures"] if (f["form"], f["protocol"]) == (QAT_IN_FLOAT, "rgb")
    )
    assert f"{figure['psnr']:.2f}/" in capsys.readouterr().out
    file = tmp_path / "int8.tflite"
    size = ["--size", "32x24", "--max-drop", "60", "--check-on", str(root / "Set5")]
    assert main(["export", "--model", f"{name}_qat", "--out", str(file), *size]) == 0
    assert main(["export", "--model", name, "--out", str(tmp_path / "ptq.tflite"), *size]) == 0
    assert main(["latency", name, str(file), "--size", "32x24"]) == 0
    (root / "out" / "abpn_x3.safetensors").touch()  # as it ships under the name of the zoo's
    assert main(["models", "abpn", "--scale", "3"]) == 0
    assert "abpn_x3" in capsys.readouterr().out


def test_the_tables_mark_its_figures_in_float(published, monkeypatch):
    from sesr_jax.publish import make_results_table

    known = [{**figure, "data": "Set5"} for figure in published["figures"]]
    facts = {**published, "figures": known, "options": {}}
    psnr = next(f["psnr"] for f in known if (f["form"], f["protocol"]) == (QAT_IN_FLOAT, "rgb"))
    shown = f"{psnr:.2f}†"
    assert re.search(rf"{shown}.*\n\n† ", make_results_table([facts]), re.S)
    make = runpy.run_path(str(_ROOT / "docs" / "update_readme.py"))["list_recipes"]
    monkeypatch.setitem(make.__globals__, "read_facts", lambda: (facts,))
    (row,) = (line for line in make().splitlines() if line.startswith("| [abpn_x3]"))
    assert shown in row
    assert "\n\n† " in make()
