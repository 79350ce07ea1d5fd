"""`sesr score`, through the real command on a small network."""

import json

import jax
import numpy as np
import pytest

from sesr_jax.challenges import MOBILE_AI_2021, MOBILE_AI_2022
from sesr_jax.cli.main import main
from sesr_jax.data import open_embedded, write_image
from sesr_jax.export import export_tflite
from sesr_jax.metrics import niqe, read_niqe_model
from sesr_jax.models import network
from sesr_jax.npu import estimate, layers_from_tflite
from sesr_jax.quant import find_points
from sesr_jax.targets import find_target
from sesr_jax.upscale import bicubic_upscaler, upscale_photo


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """An image, and the smallest ABPN: its weights, and its INT8 file for the challenge's frame."""
    made = tmp_path_factory.mktemp("score")
    write_image(made / "data" / "a.png", open_embedded("eval")[0].hr[:66, :60])
    small = network.init("abpn", scale=3, key=jax.random.key(0), features=4, blocks=0).collapse()
    network.save(small, made / "abpn.safetensors")
    for name, size in (("frame", (360, 640)), ("other", (24, 24))):
        graph = small.trace((1, *size, 3))
        found = find_points(graph)
        ranges = {key: found.fixed.get(key, (-1.0, 1.0)) for key in found.group.values()}
        export_tflite(graph, made / f"{name}.tflite", ranges=ranges)
    return made


def _rows(folder, *argv):
    out = folder / "rows.json"
    command = ["score", "--data", str(folder / "data"), "--json", str(out), *map(str, argv)]
    assert main(command) == 0
    return json.loads(out.read_text("utf-8"))


def test_ours_stand_beside_the_published_rows(folder, capsys):
    file = folder / "frame.tflite"
    models = "--model", folder / "abpn.safetensors", "--model", file, "--model", "bicubic_x3"
    weights, tflite, bicubic = _rows(folder, *models)
    expected = estimate(layers_from_tflite(file), find_target("vs680")).seconds * 1e3
    assert tflite["milliseconds"] == pytest.approx(expected)
    assert weights["milliseconds"] == pytest.approx(expected, rel=0.02)
    for row in (weights, tflite, bicubic):
        assert row["score"] == pytest.approx(MOBILE_AI_2021.score(row))
    # An untrained ABPN is nearest-neighbour interpolation and noise.
    assert weights["psnr"] < bicubic["psnr"]
    printed = capsys.readouterr().out
    assert all(name in printed for name in ("Aselsan Research", "51.0", "bicubic_x3", "vs680"))


def test_a_challenge_may_be_judged_by_niqe(folder, capsys):
    rng = np.random.default_rng(0)
    mean, root = rng.normal(size=(1, 36)), rng.normal(size=(36, 36))
    np.savez(folder / "niqe.npz", mu_pris_param=mean, cov_pris_param=1e3 * root @ root.T)
    command = "--challenge", "bdci2023", "--model", "bicubic_x4"
    (row,) = _rows(folder, *command, "--niqe", folder / "niqe.npz", "--ms", 10)
    image = upscale_photo(bicubic_upscaler(4), open_embedded("eval")[0].hr[:66, :60])
    found = niqe(image, read_niqe_model(folder / "niqe.npz"))
    assert row["niqe"] == pytest.approx(found)
    assert row["score"] == pytest.approx(20_000 * max(0, 7 - found) ** 0.5)
    assert "ESPCN_um" in capsys.readouterr().out
    assert main(["score", *command, "--data", str(folder / "data"), "--ms", "10"]) == 2
    assert "--niqe" in capsys.readouterr().err


def test_challenges_and_their_editions_are_named(folder, capsys):
    model = "--model", "bicubic_x3"
    (default,), (first,), (edition,), (name,) = (
        _rows(folder, *model, *more)
        for more in (
            (),
            ("--challenge", "mobile_ai_2021"),
            ("--edition", 2022),
            ("--challenge", "mobile_ai_2022"),
        )
    )
    assert default == first
    assert edition == name
    assert name["score"] == pytest.approx(MOBILE_AI_2022.score(default))
    printed = capsys.readouterr().out
    assert "Z6" in printed
    assert "published, 2021" in printed.partition("formula of 2022")[2]  # the baseline, in both


def test_a_challenge_without_a_score_prints_its_report(capsys):
    assert main(["score", "--challenge", "aim2020"]) == 0
    printed = capsys.readouterr().out
    assert all(text in printed for text in ("NJU_MCG", "37 (1)", "below", "0.8737"))
    assert main(["score", "--challenge", "aim2020", "--model", "bicubic_x4"]) == 2
    assert "--target" in capsys.readouterr().err


def test_times_are_measured_or_given(folder, capsys):
    file = folder / "frame.tflite"
    measured, resized = _rows(folder, "--model", file, "--model", "bicubic_x3", "--measure")
    assert 0 < resized["milliseconds"] < measured["milliseconds"] < 60_000
    given, again = _rows(folder, "--model", file, "--model", file, "--ms", 31.5, "--ms", 20)
    assert (given["milliseconds"], again["milliseconds"]) == (31.5, 20)
    assert np.isclose(given["psnr"], measured["psnr"])
    assert "given" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (("--model", "other.tflite"), "takes 24×24, where the challenge times 640×360"),
        (
            ("--model", "other.tflite", "--ms", "3"),
            "takes 24×24, where the challenge times 640×360",
        ),
        (("--model", "abpn.safetensors", "--measure"), "is no .tflite file"),
        (("--model", "bicubic_x3", "--ms", "3", "--target", "vs680"), "--target is for estimates"),
        (("--model", "bicubic_x2"), "upscales ×2"),
        (("--model", "bicubic_x3", "--ms", "1", "--ms", "2"), "2 values for 1 models"),
    ],
)
def test_what_cannot_be_scored_is_named(folder, capsys, argv, message):
    paths = [str(folder / a) if a.endswith((".tflite", ".safetensors")) else a for a in argv]
    assert main(["score", "--data", str(folder / "data"), *paths]) == 2
    assert message in capsys.readouterr().err


def test_a_network_of_luma_is_timed_as_such(folder, tmp_path, capsys):
    network.save(network.init("sesr_m3_hw", scale=3, key=jax.random.key(0), expansion=2, blocks=1),
                 tmp_path / "y.safetensors")  # fmt: skip
    luma, bicubic = _rows(folder, "--model", tmp_path / "y.safetensors", "--model", "bicubic_x3")
    assert luma["by"].endswith(", luma alone")
    assert "luma" not in bicubic["by"]


def test_an_exact_copy_has_no_number_in_json(tmp_path):
    write_image(tmp_path / "data" / "flat.png", np.full((66, 60, 3), 128, np.uint8))
    (row,) = _rows(tmp_path, "--model", "bicubic_x3")
    assert (row["psnr"], row["score"]) == (None, None)
