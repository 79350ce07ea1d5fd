"""`sesr latency`, through the real `main`: models, files, targets and pages."""

from sesr_jax.cli.main import main


def test_latency_of_a_model_and_its_csv(capsys, tmp_path):
    assert main(["latency", "sesr_m5_hw", "--csv", str(tmp_path / "l.csv")]) == 0
    out = capsys.readouterr().out
    assert "28.035 GMAC" in out
    assert "ethos-n78-4tops" in out
    assert "NOT SUPPORTED" not in out
    header, *lines = (tmp_path / "l.csv").read_text().splitlines()
    assert header.startswith("name,op,shape")
    assert len(lines) >= 8


def test_latency_of_a_trained_network_is_that_of_its_model(weights, tmp_path, capsys, refused):
    main(
        ["latency", "sesr_m5", "--scale", "4", "--size", "64x48", "--csv", str(tmp_path / "a.csv")]
    )
    main(["latency", "sesr_m5_x4", "--size", "64x48", "--csv", str(tmp_path / "b.csv")])
    assert (tmp_path / "a.csv").read_text() == (tmp_path / "b.csv").read_text()
    assert main(["latency", str(weights), "--size", "64x48"]) == 0
    capsys.readouterr()
    assert "--scale 2: sesr_m5_x4 upscales ×4" in refused("latency", "sesr_m5_x4", "--scale", "2")


def test_latency_names_what_the_target_lacks(capsys):
    assert main(["latency", "sesr_m5"]) == 0
    assert "NOT SUPPORTED: prelu_0/prelu" in capsys.readouterr().out


def test_latency_compares_models_and_targets_on_a_page(capsys, refused, tmp_path):
    page = tmp_path / "latency.html"
    command = ["latency", "sesr_m3_hw", "fsrcnn", "--size", "160x90", "--html", str(page)]
    assert main([*command, "--target", "ethos-n78-4tops", "--target", "roofline"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert sum(line.startswith(("sesr_m3_hw", "fsrcnn")) for line in lines) == 4
    assert "what would help" in page.read_text("utf-8")
    assert "front on roofline" not in page.read_text("utf-8")  # one PSNR is published
    assert "--psnr" in refused(*command, "--psnr", "37.2")
    assert main([*command, "--target", "roofline", "--psnr", "37.2,36.9"]) == 0
    assert "front on roofline" in page.read_text("utf-8")
    capsys.readouterr()
    assert "--csv" in refused(*command, "--target", "roofline", "--csv", page)


def test_latency_refuses_what_it_would_pass_over(capsys, refused):
    saved = ("latency", "sesr_m3_hw", "--size", "64x48", "--saving", "0.5", "--target", "vs680")
    assert "--saving 0.5: vs680 compresses no activations" in refused(*saved)
    assert main([*saved, "--target", "ethos-n78-4tops"]) == 0
    capsys.readouterr()
    assert "--size: for networks" in refused("latency", "x.tflite", "--size", "64x48")
    assert "--scale: for networks" in refused("latency", "x.tflite", "--scale", "2")


def test_latency_cuts_a_frame_into_tiles(capsys):
    command = ["latency", "sesr_m3_hw", "--size", "320x180", "--tile"]
    assert main([*command, "100x60"]) == 0
    assert "tiles of 100×60, halo 7: 4×4 " in capsys.readouterr().out
    assert main([*command, "auto"]) == 0
    assert "without overlap" in capsys.readouterr().out
