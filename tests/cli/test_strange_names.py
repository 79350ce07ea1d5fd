"""Names of files, and what files say, cannot steer a terminal or break a page."""

import os
import sys

import numpy as np
import pytest
from PIL import Image

from sesr_jax.cli.main import main
from sesr_jax.errors import InputError, to_printable
from sesr_jax.report import Page, Paragraph, Plot, Section, Table
from sesr_jax.report.html import to_html

_STRANGE = "a\x1b[31m\u202eb\udcff\x9bc"
_SHOWN = r"a\x1b[31m\u202eb\udcff\x9bc"


def test_what_steers_a_terminal_is_escaped_and_all_else_stays():
    assert to_printable(_STRANGE) == _SHOWN
    assert to_printable("ä×\t😀\n") == "ä×\t😀\n"
    assert str(InputError(f"{_STRANGE}\n is no file")) == rf"{_SHOWN}\n is no file"


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / os.fsencode(_STRANGE).decode("utf-8", "surrogateescape")).mkdir()
    Image.fromarray(np.zeros((8, 8), np.uint8)).save(f"{_STRANGE}/{_STRANGE}.png")
    return tmp_path


@pytest.mark.parametrize(
    "verb",
    [
        ["upscale", "{}/{}.png", "{}/large{}.png", "--model", "bicubic_x2"],
        ["upscale", "{}", "large{}", "--model", "bicubic_x2"],
        ["upscale", "{}/{}.png", "{}/{}.png", "--model", "bicubic_x2"],
        ["upscale", "{}/{}.png", "large.png", "--model", "{}.safetensors"],
        ["upscale", "{}/{}.png", "large.png", "--model", "{}.tflite"],
        ["inspect", "{}.tflite"],
        ["verify", "{}.tflite"],
        ["latency", "sesr_m3", "--target", "{}.toml"],
        ["train", "--config", "{}.py", "--workdir", "{}"],
        ["import", "--from", "arm", "{}.npz", "--model", "sesr_m3", "--scale", "2", "--out", "{}"],
        ["{}"],
    ],
    ids=" ".join,
)
def test_no_verb_sends_a_name_as_it_is(folder, capfd, verb):
    main([part.replace("{}", _STRANGE) for part in verb])
    printed = "".join(capfd.readouterr())
    assert _SHOWN in printed
    for command in ("\x1b", "\u202e", "\udcff", "\x9b"):
        assert command not in printed
    assert sys.stdout.write("") == 0  # the wrapper has gone


def test_pages_take_any_text():
    blocks = [
        Paragraph(_STRANGE),
        Table([_STRANGE], [[_STRANGE]]),
        Plot({_STRANGE: ([0.0, 1.0], [1.0, 2.0])}, x=_STRANGE, y=_STRANGE, caption=_STRANGE),
    ]
    text = to_html(Page(_STRANGE, [Section(_STRANGE, blocks)], lead=_STRANGE))
    assert "\x1b" not in text.encode("utf-8").decode()
