"""A network of RGB on the whole way: trained, measured, exported for uint8 pixels, run on a photo."""

import numpy as np
import pytest

from sesr_jax import train
from sesr_jax.cli.main import main
from sesr_jax.data import imresize, open_embedded, open_source, read_image, write_image
from sesr_jax.metrics import RGB, evaluate, mean, psnr
from sesr_jax.upscale import from_network, in_domain


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """TinySRNet, whose sides must be even, on pictures whose low resolution has odd ones."""
    folder = tmp_path_factory.mktemp("rgb")
    photo = open_embedded("eval")[0].hr
    for i in range(2):
        write_image(folder / "data" / f"{i}.png", photo[50 * i : 50 * i + 99, 40:187])
    config = train.base()
    options = {"features": 4, "blocks": 1}
    config.model.update(name="tinysrnet", scale=3, options=options)
    data = str(folder / "data")
    config.data.update(train=data, eval=data, patch=16, batch=4)
    config.update(steps=40, steps_per_call=20, eval_every=20, checkpoint_every=40)
    config.optim.update(lr=5e-3)
    train.train(config, folder / "run", progress=False)
    return config, folder


def test_it_learns_and_is_measured_on_rgb(run):
    _, folder = run
    lines = train.read_log(folder / "run")
    scores = [line["psnr"] for line in lines if "psnr" in line]
    assert scores[-1] > scores[0]
    upscaler = in_domain(from_network(train.load_network(folder / "run")), "rgb")
    found = mean(evaluate(upscaler, open_source(str(folder / "data"), 3), 3, RGB))["psnr"]
    assert found == pytest.approx(scores[-1], abs=0.02)


def test_the_int8_file_takes_and_gives_uint8_and_upscales_a_photo(run, tmp_path, capsys):
    _, folder = run
    file, photo = tmp_path / "m.tflite", folder / "data" / "0.png"
    export = ["export", "--model", str(folder / "run"), "--out", str(file), "--io", "uint8"]
    assert main([*export, "--size", "40x24", "--calibrate", str(folder / "data")]) == 0
    assert "codes: all as the integer reference" in capsys.readouterr().out
    small = tmp_path / "small.png"
    write_image(small, np.rint(imresize(read_image(photo), 1 / 3)).clip(0, 255).astype(np.uint8))
    for model in (file, folder / "run"):
        out = tmp_path / "large.png"
        assert main(["upscale", str(small), str(out), "--model", str(model)]) == 0
        assert psnr(read_image(out) / 255, read_image(photo) / 255) > 20
