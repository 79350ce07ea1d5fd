"""`sesr upscale`, through the real `main`: images, folders, pipes and videos."""

import io
import os
import subprocess
import sys

import av
import numpy as np

from sesr_jax.cli.main import main
from sesr_jax.data import imresize, read_image, write_image


def test_upscale_writes_an_image_of_the_right_size(weights, photo, tmp_path, capsys):
    out = tmp_path / "large.png"
    assert main(["upscale", str(photo), str(out), "--model", str(weights), "--tile", "64"]) == 0
    assert read_image(out).shape == (200, 280, 3)
    assert "140×100" in capsys.readouterr().out


def test_upscale_in_the_fastest_tiles_of_a_target_is_upscaling(
    weights, photo, tmp_path, capsys, refused
):
    command = ["upscale", str(photo), "--model", str(weights)]
    assert main([*command, str(tmp_path / "a.png")]) == 0
    capsys.readouterr()
    auto = ["--tile", "auto", "--target", "ethos-u65-512"]
    assert main([*command, str(tmp_path / "b.png"), *auto]) == 0
    assert "140×100 in tiles of" in capsys.readouterr().out
    assert main([*command, str(tmp_path / "c.png"), "--tile", "64x40"]) == 0
    a, *others = (read_image(tmp_path / f"{name}.png").astype(int) for name in "abc")
    assert all(np.abs(other - a).max() <= 1 for other in others)  # a code, where rounding differs
    bicubic = ["upscale", photo, tmp_path / "d.png", "--model", "bicubic_x2", *auto]
    assert "bicubic_x2" in refused(*bicubic)


def test_upscale_of_a_folder_goes_past_what_is_damaged_and_on_another_time(photo, tmp_path, capsys):
    source, target = tmp_path / "from", tmp_path / "to"
    for name in ("a.png", "c.png"):
        write_image(source / name, read_image(photo))
    (source / "b.png").write_bytes(photo.read_bytes()[:500])
    command = ["upscale", str(source), str(target), "--model", "bicubic_x2"]
    assert main(command) == 2
    printed = capsys.readouterr()
    assert "2 upscaled, 0 were there already" in printed.out
    assert "b.png" in printed.err
    assert f"1 of 3 images were not upscaled: 1 failed, such as: {source / 'b.png'}" in printed.err
    before = (target / "a.png").stat().st_mtime_ns
    write_image(source / "b.png", read_image(photo))
    assert main(command) == 0
    assert "1 upscaled, 2 were there already" in capsys.readouterr().out
    assert (target / "a.png").stat().st_mtime_ns == before
    assert all(read_image(target / f"{name}.png").shape == (200, 280, 3) for name in "abc")


def test_names_that_the_terminal_cannot_show_and_images_that_are_left_out(tmp_path):
    folder = tmp_path / "from"
    write_image(folder / "bär.png", np.zeros((4, 4, 3), np.uint8))
    os.rename(folder / "bär.png", os.fsencode(folder) + b"/b\xe4r.png")
    (folder / "c.jxl").touch()
    script = "import sys; from sesr_jax.cli.main import main; sys.exit(main())"
    ran = subprocess.run(
        [sys.executable, "-c", script, "upscale", folder, tmp_path / "to", "--model", "bicubic_x2"],
        env={**os.environ, "PYTHONIOENCODING": "ascii"},
        capture_output=True,
        text=True,
    )
    assert ran.returncode == 2
    assert "1 upscaled" in ran.stdout
    assert ran.stderr.splitlines()[-1].endswith(
        "1 of 2 images were not upscaled: 1 of other formats (1 .jxl) were left out."
    )
    assert (os.fsencode(tmp_path) + b"/to/b\xe4r.png") in [
        os.fsencode(p) for p in (tmp_path / "to").iterdir()
    ]


def test_an_image_goes_through_pipes(weights, photo, tmp_path, capfdbinary, monkeypatch):
    def upscale(*argv, given=b""):
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(given)))
        status = main(["upscale", "--model", "bicubic_x2", *argv])
        return status, *capfdbinary.readouterr()

    assert upscale(str(photo), str(tmp_path / "b.png"))[0] == 0
    status, out, said = upscale("-", "-", given=photo.read_bytes())
    assert (status, out) == (0, (tmp_path / "b.png").read_bytes())
    assert "140×100 → - 280×200" in said.decode()
    status, out, said = upscale("-", "-", given=b"no image")
    assert (status, out) == (2, b"")
    assert b"standard input can't be read" in said
    status, out, said = upscale(str(photo.parent), "-")
    assert (status, out) == (2, b"")
    assert b"is a folder, and standard output takes one image" in said
    model, large = str(weights), tmp_path / "c.png"
    assert upscale(str(photo), str(large), "--model", model, "--tile", "auto")[0] == 0
    status, out, said = upscale(str(photo), "-", "--model", model, "--tile", "auto")
    assert (status, out) == (0, large.read_bytes())
    assert "140×100 in tiles of" in said.decode()


def test_upscale_of_a_video(photo, tmp_path, capsys, refused):
    frames, clip = read_image(photo)[:32, :48], tmp_path / "clip.mp4"
    with av.open(str(clip), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width, stream.height = 48, 32
        for _ in range(3):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frames)))
        container.mux(stream.encode(None))
    command = ["upscale", str(clip), str(tmp_path / "large.mkv"), "--model", "bicubic_x2"]
    assert main(command) == 0
    assert "48×32 → " in (printed := capsys.readouterr().out)
    assert "large.mkv 96×64, 3 frames" in printed
    with av.open(str(tmp_path / "large.mkv")) as container:
        assert [(f.width, f.height) for f in container.decode(video=0)] == [(96, 64)] * 3
    assert "--tile auto" in refused(*command, "--tile", "auto")
    for name, said in (("x.avi", r"x.avi must end"), ("x.png", "clip.mp4 is a video")):
        command[2] = str(tmp_path / name)
        assert said in refused(*command)
    assert "itself" in refused("upscale", clip, clip, "--model", "bicubic_x2")


def test_images_may_be_larger_than_pillow_likes(photo, tmp_path, monkeypatch):
    for command in (
        ["upscale", str(photo), str(tmp_path / "b.png")],
        ["eval", "--data", str(photo.parent)],
        ["score", "--challenge", "mobile_ai_2021", "--data", str(photo.parent), "--ms", "1"],
    ):
        monkeypatch.setattr("PIL.Image.MAX_IMAGE_PIXELS", 100)  # ours sets it, and it is put back
        assert main([*command, "--model", "bicubic_x3"]) == 0


def test_upscale_by_bicubic_is_matlabs(photo, tmp_path):
    out = tmp_path / "large.png"
    assert main(["upscale", str(photo), str(out), "--model", "bicubic_x3"]) == 0
    want = imresize(read_image(photo).astype(np.float64), 3).clip(0, 255)
    assert np.abs(read_image(out) - want).max() < 0.51
