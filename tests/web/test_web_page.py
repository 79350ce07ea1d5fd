"""The page for browsers: what it computes is what this package computes.

Node runs the page's arithmetic, and Chromium all of it. Where one of them is missing its test skips.
"""

import dataclasses
import functools
import itertools
import json
import pathlib
import shutil
import subprocess
import threading
import urllib.request

import jax
import numpy as np
import pytest
from chromium import find_chromium, open_tab

from sesr_jax import web
from sesr_jax.cli.main import main
from sesr_jax.data import open_embedded, read_image, write_image
from sesr_jax.errors import InputError
from sesr_jax.graph import Extent
from sesr_jax.models import network
from sesr_jax.upscale import bicubic_upscaler, from_tflite, tiles, upscale_photo
from sesr_jax.web.facts import find_facts

_STATIC = pathlib.Path(web.__file__).parent / "static"


def _look(x, scale, halo):
    """The stand-in for a network of upscale.mjs."""
    wide = np.pad(x, ((0, 0), (halo, halo), (halo, halo), (0, 0)))
    seen = 0.3141 * wide[:, : -2 * halo, : -2 * halo] + 0.6859 * wide[:, 2 * halo :, 2 * halo :]
    return seen.repeat(scale, 1).repeat(scale, 2)


@pytest.mark.parametrize(
    ("scale", "channels", "halo", "align", "tile", "size"),
    [
        (2, 1, 3, 1, (16, 20), (37, 50)),
        (3, 3, 2, 4, (16, 24), (30, 33)),
        (4, 1, 5, 1, (12, 16), (9, 40)),
        (2, 1, 2, 1, (16, 16), (16, 3)),
    ],
)
def test_the_page_cuts_tiles_and_mixes_colours_as_this_package(
    scale, channels, halo, align, tile, size
):
    node = shutil.which("node") or pytest.skip("needs node")
    upscaler = dataclasses.replace(
        bicubic_upscaler(scale),
        channels=channels,
        extent=Extent(halo=halo, align=align),
        function=functools.partial(_look, scale=scale, halo=halo),
        tile=tile,
    )
    photo = np.random.default_rng(0).integers(0, 256, (*size, 3), np.uint8)
    facts = find_facts(upscaler, tile)
    given = {
        "facts": facts,
        "bytes": photo.ravel().tolist(),
        "height": size[0],
        "width": size[1],
        "script": str(_STATIC / "upscaling.js"),
    }
    script = pathlib.Path(__file__).with_name("upscale.mjs")
    ran = subprocess.run(
        [node, "--no-warnings", script], input=json.dumps(given), capture_output=True, text=True
    )
    assert ran.returncode == 0, ran.stderr
    found = json.loads(ran.stdout)
    padded = [max(t, -(-n // align) * align) for n, t in zip(size, tile, strict=True)]
    rows, columns = (
        [dataclasses.asdict(each) for each in tiles._split_axis(n, t, facts["halo"], align)]
        for n, t in zip(padded, tile, strict=True)
    )
    assert found["tiles"] == [{"row": r, "column": c} for r, c in itertools.product(rows, columns)]
    want = upscale_photo(upscaler, photo)
    apart = np.abs(np.reshape(found["result"], want.shape) - want)
    assert apart.max() <= 1
    assert (apart > 0).mean() < 1e-3


def test_tiles_that_keep_nothing_and_networks_that_see_all_are_refused():
    deep = dataclasses.replace(bicubic_upscaler(2), extent=Extent(halo=9, align=2))
    for tile in ((18, 40), (41, 41)):
        with pytest.raises(InputError, match=f"{tile[0]}|{tile[1]}"):
            find_facts(deep, tile)
    whole = dataclasses.replace(deep, extent=Extent(halo=None, whole="mean"))
    with pytest.raises(InputError, match="mean"):
        find_facts(whole, (64, 64))


def test_the_server_answers_this_machine_with_the_headers_that_threads_need(tmp_path):
    (tmp_path / "x.wasm").write_bytes(b"\0asm")
    with web.make_server(tmp_path, 0) as server:
        assert server.server_address[0] == "127.0.0.1"
        threading.Thread(target=server.serve_forever, daemon=True).start()
        with urllib.request.urlopen(f"http://127.0.0.1:{server.server_port}/x.wasm") as answer:
            headers = answer.headers
        assert headers["Content-Type"] == "application/wasm"
        assert headers["Cross-Origin-Opener-Policy"] == "same-origin"
        assert headers["Cross-Origin-Embedder-Policy"] == "require-corp"
        for port in (server.server_port, 65536):
            with pytest.raises(InputError, match=str(port)):
                web.make_server(tmp_path, port)
        server.shutdown()


def test_what_a_page_cannot_have_is_one_sentence(tmp_path, capsys, monkeypatch):
    def refuse(*argv):
        assert main(["export", "--model", "sesr_m5_x2_qat", *argv]) == 2
        said = capsys.readouterr().err
        assert said.count("\n") == 1, said
        return said

    page = ("--web", str(tmp_path / "page"))
    assert "--tail, --max-drop" in refuse(*page, "--tail", "none", "--max-drop", "1")
    assert "--observer mse" in refuse(*page, "--observer", "mse")
    assert "--serve 8000" in refuse("--out", str(tmp_path / "a.tflite"), "--serve")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert "npm is not installed" in refuse(*page)
    (tmp_path / "npm").write_text("#!/bin/sh\necho 'npm error code E404' >&2; exit 1\n")
    (tmp_path / "npm").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin:/usr/bin")
    assert "(code E404)" in refuse(*page)
    assert not (tmp_path / "page").exists()


def test_a_photo_comes_out_of_the_browser_as_sesr_upscale_has_it(tmp_path, capsys):
    find_chromium()
    if not shutil.which("npm"):
        pytest.skip("needs npm")
    made = network.init("sesr_m3", scale=2, key=jax.random.key(0), expansion=4, blocks=1)
    network.save(made, tmp_path / "tiny.safetensors")
    page, photo = tmp_path / "page", tmp_path / "photos" / "cat.png"
    write_image(photo, open_embedded("eval")[1].hr[60:150, 100:201])
    command = ["export", "--model", str(tmp_path / "tiny.safetensors"), "--web", str(page)]
    if main([*command, "--size", "64x48", "--calibrate", str(photo.parent)]) != 0:
        said = capsys.readouterr().err
        pytest.skip(f"needs what npm fetches: {said}") if "npm" in said else pytest.fail(said)
    assert "INT8" in capsys.readouterr().out
    with web.make_server(page, 0) as server, open_tab() as tab:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        tab.set_width(390)
        tab.save_downloads(tmp_path)
        tab.open(f"http://127.0.0.1:{server.server_port}/")
        tab.wait("document.body?.dataset.state === 'idle'")
        assert tab.evaluate("crossOriginIsolated")
        tab.choose_file("#photo", photo)
        tab.wait(
            "!document.getElementById('save1').disabled && document.body.dataset.state === 'idle'"
        )
        assert tab.evaluate("document.documentElement.scrollWidth") == 390
        assert "cat.png: 101×90 → 202×180" in tab.evaluate(
            "document.getElementById('status').innerText"
        )
        assert tab.evaluate("document.getElementById('place0').innerText").startswith("CPU, ")
        tab.evaluate(
            "document.querySelector('#compare input').value = 20, "
            "document.querySelector('#compare input').dispatchEvent(new Event('input'))"
        )
        assert tab.evaluate(
            "getComputedStyle(document.querySelector('.before')).clipPath"
        ).startswith("inset(0px 80%")
        for index, name in enumerate(("INT8", "float")):
            tab.evaluate(f"document.getElementById('save{index}').click()")
            saved = tmp_path / f"cat_x2_{name}.png"
            tab.wait_for_file(saved)
            want = upscale_photo(
                from_tflite(page / f"sesr_m3_x2_{name.lower()}.tflite"), read_image(photo)
            )
            assert np.abs(read_image(saved).astype(int) - want).max() <= 1
        (tmp_path / "no.png").write_text("no image")
        tab.choose_file("#photo", tmp_path / "no.png")
        tab.wait("document.getElementById('status').innerText.includes('no.png')")
        asked = {(request["method"], request["url"].split("/")[2]) for request in tab.requests}
        server.shutdown()
    assert asked == {("GET", f"127.0.0.1:{server.server_port}")}
