"""The main job, end to end, with fewer steps."""

import html.parser
import re

from sesr_jax.cli.main import main


def _means(text: str) -> dict[str, float]:
    rows = re.findall(r"^(bicubic|float|INT8 \(\.tflite\))\s.*?([\d.]+)/[\d.]+$", text, re.M)
    return {name: float(psnr) for name, psnr in rows}


def test_the_demo_beats_bicubic_and_a_second_run_says_that_it_is_done(tmp_path, capsys):
    out = tmp_path / "demo"
    assert main(["demo", "--out", str(out), "--steps", "1200"]) == 0
    text = capsys.readouterr().out
    (difference,) = re.findall(r"expanded and the collapsed network: (\S+)", text)
    assert 0 < float(difference) < 1e-5
    psnr = _means(text)
    assert psnr["float"] > psnr["bicubic"] + 0.4
    assert psnr["INT8 (.tflite)"] > psnr["float"] - 0.3
    assert "18.480 GMAC" in text
    written = {p.name for p in out.iterdir()}
    assert {"index.html", "astronaut_x2.png", "sesr_m3_hw_x2_int8.tflite", "train"} <= written
    page = (out / "index.html").read_text("utf-8")
    html.parser.HTMLParser().feed(page)
    assert page.count("<img") == 6
    assert page.count("<svg") == 2

    assert main(["demo", "--out", str(out), "--steps", "1200"]) == 0
    again = capsys.readouterr().out
    assert "done already" in again
    assert _means(again) == psnr
