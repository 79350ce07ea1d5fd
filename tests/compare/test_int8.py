"""What INT8 costs: every form of a network is measured, and mismatches are refused."""

import dataclasses
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from sesr_jax.cli.main import main
from sesr_jax.compare import (
    QAT,
    QAT_IN_FLOAT,
    Case,
    choose_calibration,
    make_table,
    measure,
    measure_int8_cost,
    pair_cases,
)
from sesr_jax.data import write_image
from sesr_jax.data.sources import ImagePair
from sesr_jax.errors import InputError
from sesr_jax.models import network
from sesr_jax.quant import OBSERVERS, RANGES, find_points
from sesr_jax.reparam.cost import make_photo_noise
from sesr_jax.upscale import from_network

_PHOTO = (make_photo_noise((1, 40, 48, 3))[0] * 255).astype(np.uint8)


@pytest.fixture(scope="module")
def net():
    options = {"blocks": 1, "features": 4, "expansion": 8}
    return network.init("sesr_m3_hw", scale=2, key=jax.random.key(0), **options).collapse()


@pytest.fixture(scope="module")
def trained(net):
    """The network with made-up ranges in the place of trained ones."""
    where = find_points(net.trace((1, 8, 8, 1)))
    ranges = {group: jnp.asarray([-1.0, 1.0]) for group in where.group.values()}
    ranges |= {group: jnp.asarray(ends) for group, ends in where.fixed.items()}
    return dataclasses.replace(net, variables={**net.variables, RANGES: ranges})


@pytest.fixture
def folder(tmp_path):
    write_image(tmp_path / "Photos" / "one.png", _PHOTO)
    return str(tmp_path / "Photos")


def test_every_form_is_measured_against_float(net, trained, folder, tmp_path):
    images = [ImagePair(name="generated", hr=_PHOTO)]
    rows = measure_int8_cost(
        [Case(network=net, trained=trained)], [folder], images, tmp_path / "out"
    )
    assert [row.form for row in rows] == ["float", *(f"PTQ, {o}" for o in OBSERVERS), "QAT"]
    (anchor,) = measure(from_network(net), [folder])
    assert rows[0].scores[0].mean == anchor.mean
    for row in rows:
        assert row.drops[0] == pytest.approx(anchor.mean["psnr"] - row.scores[0].mean["psnr"])
    assert rows[0].drops == (0,)
    assert len({row.drops[0] for row in rows}) > 2
    cells, header = make_table(rows)
    assert header == ["model", "form", "Photos", "lost"]
    assert [len(row) for row in cells] == [4] * len(rows)
    assert len(list((tmp_path / "out").glob("*.tflite"))) == len(OBSERVERS) + 1
    assert "QAT" in (tmp_path / "out" / "index.html").read_text()


def test_the_command_prints_and_keeps_the_table(net, folder, tmp_path, capsys):
    network.save(net, tmp_path / "net.safetensors")
    arguments = ["--model", str(tmp_path / "net.safetensors"), "--data", folder]
    out = tmp_path / "out"
    assert main(["compare", *arguments, "--calibrate", folder, "--layers", "--out", str(out)]) == 0
    printed = capsys.readouterr().out
    assert "PTQ, mse" in printed
    forms = json.loads((out / "scores.json").read_text())
    assert len(forms) == 1 + len(OBSERVERS)
    (layers,) = (form["layers"] for form in forms if "layers" in form)
    assert {layer["kind"] for layer in layers} == {"codes", "weights"}
    assert f"{layers[0]['name']} {layers[0]['kind']}" in printed
    assert layers[0]["name"] in (out / "index.html").read_text()


def test_a_network_trained_for_int8_alone_is_measured_against_its_own_weights(
    net, trained, folder, tmp_path
):
    (case,) = pair_cases([trained], [])
    rows = measure_int8_cost([case], [folder], (), tmp_path / "out", layers=True)
    assert [row.form for row in rows] == [QAT_IN_FLOAT, QAT]
    (anchor,) = measure(from_network(net), [folder])  # which has the same weights
    assert rows[0].scores[0].mean == anchor.mean
    assert rows[1].drops[0] == pytest.approx(anchor.mean["psnr"] - rows[1].scores[0].mean["psnr"])
    assert [bool(row.layers) for row in rows] == [False, True]
    assert [path.name for path in (tmp_path / "out").glob("*.tflite")] == [
        "sesr_m3_hw_x2_blocks-1_features-4_expansion-8_qat.tflite"
    ]
    assert QAT_IN_FLOAT in (tmp_path / "out" / "index.html").read_text()


def test_only_networks_trained_in_float_are_calibrated(net, trained):
    alone, both = Case(trained=trained), Case(network=net, trained=trained)
    for cases, named, expected in (
        ([both], None, "embedded:train"),
        ([alone, both], "Set5", "Set5"),
        ([alone], None, None),
    ):
        assert choose_calibration(cases, named) == expected
    with pytest.raises(InputError, match="Set5"):
        choose_calibration([alone], "Set5")


def test_what_does_not_go_together_is_refused(net, trained, tmp_path, capsys):
    with pytest.raises(InputError, match="has ranges"):
        pair_cases([trained], [trained])
    with pytest.raises(InputError, match="no network"):
        Case()
    with pytest.raises(InputError, match="has no ranges"):
        Case(network=net, trained=net)
    with pytest.raises(InputError, match="must be one network"):
        Case(network=net, trained=dataclasses.replace(trained, scale=3))
    with pytest.raises(InputError, match=r"sesr_m3_hw ×2 \(blocks=1.*\) is given twice"):
        measure_int8_cost([Case(network=net), Case(network=net)], ["embedded:eval"], [], tmp_path)
    network.save(trained, tmp_path / "qat.safetensors")
    other = network.init("sesr_m3", scale=2, key=jax.random.key(0), blocks=1, features=4)
    network.save(other, tmp_path / "other.safetensors")
    files = [
        "--model",
        str(tmp_path / "other.safetensors"),
        "--qat",
        str(tmp_path / "qat.safetensors"),
    ]
    assert main(["compare", *files, "--data", "embedded:eval", "--out", str(tmp_path / "out")]) == 2
    assert "The QAT network sesr_m3_hw ×2" in capsys.readouterr().err
