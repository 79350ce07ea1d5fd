"""What an upscaled video should hold, and what a refused one must leave."""

import numpy as np
import pytest

from sesr_jax.errors import InputError
from sesr_jax.upscale import bicubic_upscaler, upscale_video
from tests.films import read_film


def predict_luma(upscaler, codes, peak=255, to_studio=lambda y: y, back=lambda y: y):
    """Returns the codes of the upscaled luma before they are rounded, where `peak` stands for 1."""
    y = to_studio(codes / peak).astype(np.float32)[None, ..., None]
    large = back(np.asarray(upscaler.function(y))[0, ..., 0].astype(np.float64))
    return large * peak


def round_codes(values, peak=255):
    """Returns the codes nearest to `values`; ties are rounded up."""
    return np.clip(np.floor(values + 0.5), 0, peak)


def upscale_film(upscaler, folder, **options):
    """Upscales a.mkv to b.mkv, and reads that."""
    upscale_video(upscaler, folder / "a.mkv", folder / "b.mkv", **options)
    return read_film(folder / "b.mkv")


def check_refused(source, target, match, upscaler=None):
    """Checks that a video is refused by that sentence, and that the files of its folder stay as they are."""
    before = {p: p.read_bytes() for p in source.parent.iterdir() if p.is_file()}
    with pytest.raises(InputError, match=match):
        upscale_video(upscaler or bicubic_upscaler(2), source, target)
    assert {p: p.read_bytes() for p in source.parent.iterdir() if p.is_file()} == before
