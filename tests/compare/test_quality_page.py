"""The page of `sesr eval`: it shows the image, and the place in it, that differ most."""

import dataclasses
import json

import numpy as np
import pytest

from sesr_jax import report
from sesr_jax.cli.main import main
from sesr_jax.compare import Measurement, make_quality_page, measure, shorten_names
from sesr_jax.data import open_embedded, write_image
from sesr_jax.metrics import RGB8, Y
from sesr_jax.models.figures import list_figures
from sesr_jax.upscale import bicubic_upscaler

_SPOILT = (slice(60, 68), slice(100, 110))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    root = tmp_path_factory.mktemp("page") / "Set5"
    hr = open_embedded("eval")[1].hr
    for name, left in (("a", 0), ("b", 150)):
        write_image(root / f"{name}.png", hr[40:160, left : left + 140])
    return str(root)


def _spoilt(folder):
    """Bicubic interpolation, but for a white patch in the second image."""
    known = bicubic_upscaler(2).function(_second(folder)[None])

    def function(x):
        y = np.array(bicubic_upscaler(2).function(x))
        if np.array_equal(y, known):
            y[(0, *_SPOILT)] = 1
        return y

    return dataclasses.replace(bicubic_upscaler(2), name="spoilt", function=function, macs=13_520.0)


def _second(folder):
    from sesr_jax.data import open_source

    return Y.pair(open_source(folder, 2)[1], 2)[0]


def test_the_image_and_the_place_where_a_model_loses_are_shown(folder):
    models = {"plain": bicubic_upscaler(2), "spoilt": _spoilt(folder)}
    measured = [
        Measurement(title=name, upscaler=u, scores=tuple(measure(u, [folder])))
        for name, u in models.items()
    ]
    page = make_quality_page(measured, Y)
    assert [s.title for s in page.sections] == [
        "Quality",
        "Quality and work",
        "spoilt against plain",
    ]
    dots, best, _, worst, _ = page.sections[-1].blocks
    assert dots.values["Set5"][0] == 0 > dots.values["Set5"][1]
    assert "gains nothing, +0.00 dB, on a" in best.caption
    assert f"loses most, {dots.values['Set5'][1]:+.2f} dB, on b" in worst.caption
    errors = worst.image[(worst.image.shape[0] + 6) // 2 :]
    side = (errors.shape[1] - 2 * 6) // 3
    who, before, after = (errors[:, i * (side + 6) :][:, :side] for i in range(3))
    assert after.sum() > before.sum()
    orange = (who[..., 0] > who[..., 2]).sum() / 9  # magnified three times
    assert orange == 80
    assert who.sum(axis=-1).astype(bool).sum() / 9 <= 80  # and nothing else differs

    (plot,) = page.sections[1].blocks
    assert plot.points == {"spoilt": (pytest.approx(3.115008), measured[1].scores[0].mean["psnr"])}
    assert plot.others["sesr_m5"] == (3.11, 37.39)
    assert set(plot.others) < set(list_figures(2))
    report.to_html(page)


def test_a_loss_is_never_called_a_gain(folder):
    better = bicubic_upscaler(2)
    worse = dataclasses.replace(
        better, name="w", function=lambda x: np.asarray(better.function(x)) + 0.02
    )
    measured = [
        Measurement(title=u.name, upscaler=u, scores=tuple(measure(u, [folder])))
        for u in (better, worse)
    ]
    for one in (measured, measured[::-1]):
        dots, best, _, worst, _ = make_quality_page(one, Y).sections[-1].blocks
        sign = np.sign(dots.values["Set5"])
        word = "gains" if sign[0] > 0 else "loses"
        assert abs(sign.sum()) == len(sign) == 2
        assert f"{word} {'most' if word == 'gains' else 'least'}" in best.caption
        assert f"{word} {'least' if word == 'gains' else 'most'}" in worst.caption


def test_the_first_model_is_compared_with_bicubic_and_rgb_has_no_rivals(folder):
    spoilt = _spoilt(folder)
    one = Measurement(title="m", upscaler=spoilt, scores=tuple(measure(spoilt, [folder], RGB8)))
    page = make_quality_page([one], RGB8)
    assert page.sections[-1].title == "m against bicubic"
    assert not page.sections[1].blocks[0].others


def test_the_command_writes_page_and_figures(folder, tmp_path, capsys):
    out, scores = tmp_path / "q.html", tmp_path / "q.json"
    models = ["--model", "bicubic_x2", "--model", "bicubic_x3"]
    files = ["--html", str(out), "--json", str(scores)]
    assert main(["eval", *models, "--data", folder, *files]) == 0
    assert f"page: {out}" in capsys.readouterr().out
    assert "bicubic_x3" in out.read_text("utf-8")
    found = json.loads(scores.read_text("utf-8"))
    assert [r["scale"] for r in found["results"]] == [2, 3]
    mean = np.mean([p["psnr"] for p in found["results"][0]["images"].values()])
    assert found["results"][0]["mean"]["psnr"] == pytest.approx(mean)
    assert found["results"][0]["macs"] is None


def test_rivals_are_those_of_the_papers():
    """FSRCNN's and SESR's MACs follow from their layers; a rival with none has no place in a plot."""
    for scale, kernels in ((2, 13_520), (4, 18_320)):
        printed = list_figures(scale)["sesr_m5"]
        assert printed.parameters == pytest.approx(kernels, rel=1e-3)
        assert printed.macs == pytest.approx(kernels * 720 * 1280 / scale**2, rel=6e-3)
    assert list_figures(2)["imdn"].macs is None
    assert list_figures(3).keys() == {"imdn"}
    assert {r.source for r in list_figures(2).values()} == {"SESR", "FALSR", "IMDN", "RLFN"}


def test_sets_of_one_name_and_exact_copies(tmp_path):
    """A set of one colour is upscaled exactly: its PSNR has no number, in JSON and on the page."""
    folders = [tmp_path / name / "HR" for name in ("a", "b")]
    photo = open_embedded("eval")[1].hr[40:80, :60]
    for side, (folder, image) in enumerate(
        zip(folders, (photo, np.full_like(photo, 99)), strict=True)
    ):
        write_image(folder / f"{side}.png", image)
    out = [f"{tmp_path}/scores.json", f"{tmp_path}/page.html"]
    sets = [argument for folder in folders for argument in ("--data", str(folder))]
    models = ["--model", "bicubic_x2", "--model", "sesr_m3_x2"]
    assert main(["eval", *models, *sets, "--json", out[0], "--html", out[1]]) == 0
    text = (tmp_path / "scores.json").read_text("utf-8")
    first, second, *_ = json.loads(text, parse_constant=pytest.fail)["results"]
    assert second["mean"]["psnr"] is None
    assert first["mean"]["psnr"] > 20
    page = (tmp_path / "page.html").read_text("utf-8")
    assert all(name in page for name in ("a/HR", "b/HR"))
    assert str(tmp_path) not in page


def test_names_are_as_short_as_tells_them_apart():
    paths = ["Set5", "sets/a/HR", "sets/b/HR", "sets/b/HR/", "embedded:eval"]
    assert shorten_names(paths) == ["Set5", "a/HR", "b/HR", "b/HR", "embedded:eval"]
    assert shorten_names(["HR", "a/HR"]) == ["HR", "a/HR"]
