"""What ships says what it is: weights, facts, card and the table of results."""

import copy
import dataclasses
import json
import re
import xml.etree.ElementTree

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from sesr_jax import pretrained, report, train
from sesr_jax import publish as publishing
from sesr_jax.cli.main import main
from sesr_jax.compare import QAT_IN_FLOAT, Case, measure
from sesr_jax.data import read_image, write_image
from sesr_jax.errors import InputError
from sesr_jax.metrics import DEGRADED, RGB, RGB8, Y
from sesr_jax.models import VARIANTS, network
from sesr_jax.pretrained import read_facts
from sesr_jax.publish import facts, make_card, make_results_table, plot_curve
from sesr_jax.quant import RANGES, find_points
from sesr_jax.reparam.cost import make_photo_noise
from sesr_jax.train.checkpoint import claim
from sesr_jax.upscale import from_network

_PHOTO = (make_photo_noise((1, 40, 48, 3))[0] * 255).astype(np.uint8)


def _run(folder, scale=2, options=None, **settings):
    config = train.base()
    config.model.update(name="sesr_m3", scale=scale, options=options or {})
    config.update(steps=20, **settings)
    claim(folder, config)
    lines = [{"step": s, "psnr": 30.0 + s, "steps_per_second": 2.0} for s in (10, 20)]
    (folder / "log.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))


@pytest.fixture(scope="module")
def shipped(tmp_path_factory):
    """A network with fresh weights, published as if runs had trained it; its files and the network."""
    root = tmp_path_factory.mktemp("publish")
    write_image(root / "sets" / "Set5" / "one.png", _PHOTO)
    write_image(root / "sets" / "CID22" / "two.png", _PHOTO)
    _run(root / "float", data={**train.base().data, "train": str(root / "sets")})
    _run(root / "qat", init=str(root / "float" / train.EXPANDED), stages=(train.stage("quantise"),))
    dense = network.init("sesr_m3", scale=2, key=jax.random.key(0), expansion=2).collapse()
    net = dataclasses.replace(dense, options={})
    where = find_points(net.trace((1, 8, 8, 1)))
    ranges = {group: jnp.asarray([-1.0, 1.0]) for group in where.group.values()}
    ranges |= {group: jnp.asarray(ends) for group, ends in where.fixed.items()}
    trained = dataclasses.replace(net, variables={**net.variables, RANGES: ranges})
    (root / "out").mkdir()
    (root / "out" / "sesr_m3_x2_expanded.safetensors").touch()  # of an earlier time
    with pytest.MonkeyPatch.context() as patch:
        networks = {"float": net, "qat": trained}
        patch.setattr(facts, "load_network", lambda run: networks[run.name])
        published = publishing.publish(
            root / "float",
            qat=root / "qat",
            data=[str(root / "sets" / "Set5")],
            calibrate=str(root / "sets" / "CID22"),
            folder=root / "out",
        )
    return root, net, published


def test_the_files_are_there_and_hold_the_network(shipped):
    root, net, published = shipped
    files = {path.name for path in (root / "out").iterdir()}
    weights = {"sesr_m3_x2.safetensors", "sesr_m3_x2_qat.safetensors"}  # expanded is collapsed here
    assert files == weights | {"sesr_m3_x2.json", "sesr_m3_x2.md", "sesr_m3_x2.svg"}
    assert published["files"].keys() == weights
    loaded = network.load(root / "out" / "sesr_m3_x2.safetensors")
    jax.tree.map(np.testing.assert_array_equal, loaded.variables, net.variables)
    assert network.load(root / "out" / "sesr_m3_x2_qat.safetensors").ranges
    xml.etree.ElementTree.parse(root / "out" / "sesr_m3_x2.svg")


@pytest.mark.parametrize("ships", [True, False])
def test_expanded_weights_ship_where_they_are_small(ships, tmp_path, monkeypatch):
    net = network.init("sesr_m3", scale=2, key=jax.random.key(0), expansion=2)
    size = sum(leaf.nbytes for leaf in jax.tree.leaves(net.variables))
    monkeypatch.setattr(facts, "_LARGEST_EXPANDED", size + ships)
    sizes = facts._write_weights(Case(network=net), tmp_path, "m3")
    assert ("m3_expanded.safetensors" in sizes) == ships
    assert sizes == {file.name: file.stat().st_size for file in tmp_path.iterdir()}


def test_the_facts_are_those_of_the_runs_and_of_the_figures(shipped):
    root, net, published = shipped
    text = (root / "out" / "sesr_m3_x2.json").read_text("utf-8")
    assert json.loads(text) == published
    assert str(root) not in text + (root / "out" / "sesr_m3_x2.md").read_text("utf-8")
    first, second = published["training"]
    assert (first["run"], first["from"], second["from"]) == ("float", None, "float")
    assert second["stages"] == ["quantise"]
    assert published["data"]["training"] == {"CID22": 1, "Set5": 1, "embedded:train": 8}
    assert published["data"]["evaluation"] == {"Set5": 1}
    assert published["cost"]["weights"] == 8_912
    for protocol in (Y, RGB8):
        (score,) = measure(from_network(net), [str(root / "sets" / "Set5")], protocol)
        (found,) = (
            f
            for f in published["figures"]
            if f["form"] == "float" and f["protocol"] == protocol.name
        )
        assert found["psnr"] == pytest.approx(score.mean["psnr"], abs=1e-4)
    forms = [f["form"] for f in published["figures"] if f["protocol"] == "y"]
    assert sorted(forms) == sorted(publishing.FORMS.keys() - {QAT_IN_FLOAT})


def test_a_run_that_had_a_teacher_says_so_without_the_machines_paths(tmp_path):
    teacher = tmp_path / "runs" / "m5" / train.WEIGHTS
    network.save(network.init("sesr_m3", scale=2, key=jax.random.key(0), expansion=2), teacher)
    _run(tmp_path / "run", distill={"teacher": str(teacher), "weight": 0.3, "ensemble": True})
    (past,) = train.read_history(tmp_path / "run").runs
    (published,) = facts._describe_run(past, None, "a CPU")
    assert published["loss"] == "l1, 0.3 of its target by the self-ensemble of m5/model.safetensors"


def test_the_curve_goes_on_from_run_to_run(shipped):
    *_, published = shipped
    assert plot_curve(published).lines == {
        "float": ([10, 20], [40.0, 50.0]),
        "qat": ([30, 40], [40.0, 50.0]),
    }


def test_what_goes_on_from_published_weights_keeps_their_history(shipped, tmp_path):
    root, _, published = shipped
    for name, form in (("expanded", "_expanded"), ("collapsed", "")):
        weights = root / "out" / f"sesr_m3_x2{form}.safetensors"
        _run(tmp_path / name, init=str(weights), data={**train.base().data, "train": "gone"})
        history, earlier = facts._list_runs([tmp_path / name], None)
        assert [(past.run.name, previous) for past, previous in history] == [(name, "float")]
        assert earlier.training == published["training"][:1]
        assert earlier.images == published["data"]["training"]
    _run(tmp_path / "lost", init=str(tmp_path / "elsewhere_expanded.safetensors"))
    with pytest.raises(InputError, match=r"elsewhere\.json"):
        facts._list_runs([tmp_path / "lost"], None)
    for training, images in (([{}], {}), ([], {}), (published["training"], 3)):
        damaged = {"training": training, "data": {"training": images}}
        (tmp_path / "elsewhere.json").write_text(json.dumps(damaged))
        with pytest.raises(InputError, match=r"elsewhere\.json"):
            facts._list_runs([tmp_path / "lost"], None)


def test_weights_that_were_trained_for_int8_keep_all_of_their_history(shipped, tmp_path):
    *_, published = shipped
    figures = [{**figure, "form": QAT_IN_FLOAT} for figure in published["figures"]]
    (tmp_path / "abpn_x3.json").write_text(json.dumps({**published, "figures": figures}))
    _run(tmp_path / "run", init=str(tmp_path / "abpn_x3.safetensors"))
    _, earlier = facts._list_runs([tmp_path / "run"], None)
    assert (earlier.training, earlier.last) == (published["training"], "qat")


def test_the_curve_leaves_out_what_was_watched_on_other_images(shipped):
    *_, published = shipped
    first, last = copy.deepcopy(published["training"])
    first["watched_on"] = "Set5"
    plot = plot_curve({**published, "training": [first, last]})
    assert plot.lines == {"qat": ([30, 40], [40.0, 50.0])}
    assert plot.y == "PSNR on embedded:eval, dB"


def test_the_stages_of_a_run_are_told_apart(shipped, tmp_path):
    *_, published = shipped
    last = train.stage("quantise", steps=15, loss="l2", data={"patch": 48})
    _run(tmp_path / "run", stages=(train.stage(steps=10), last))
    (past,) = train.read_history(tmp_path / "run").runs
    first, second = facts._describe_run(past, None, "unknown")
    assert (first["steps"], first["planned_steps"], first["from"]) == (10, 10, None)
    assert (second["steps"], second["planned_steps"], second["from"]) == (10, 15, "run")
    assert (second["patch"], second["loss"], second["stages"]) == (48, "l2", ["quantise"])
    alone = {**published, "training": [first, second]}
    assert plot_curve(alone).lines == {"run": ([10, 20], [40.0, 50.0])}
    assert "10 steps in float, and 10 for INT8." in make_card(alone)


@pytest.mark.parametrize(("above", "word"), [(0.0, "reached"), (-0.01, "**not reached**")])
def test_a_figure_is_reached_or_not(shipped, above, word):
    *_, published = shipped
    published = copy.deepcopy(published)
    psnr, ssim = VARIANTS["sesr_m3"].published[2]["Set5"]
    for figure in published["figures"]:
        figure.update(psnr=psnr + above, ssim=ssim)
    rows = re.findall(r"^\| Set5 \|.*\| (\S.*) \| (\S.*) \|$", make_card(published), re.M)
    assert rows == [(f"{above:+.2f} / +0.0000", word)] * 3
    assert f"{above:+.2f}" in make_results_table([published])


def test_what_papers_do_not_print_is_neither(shipped):
    *_, published = shipped
    published = {**published, "model": "sesr_m3_hw"}
    assert make_card(published).count("not published") == 3
    assert "reached" not in make_card(published)


@pytest.fixture(scope="module")
def shipped_rgb(tmp_path_factory):
    """A network of RGB ×3 that the zoo has in another form, published likewise."""
    root = tmp_path_factory.mktemp("publish_rgb")
    write_image(root / "Set5" / "one.png", _PHOTO)
    options = {"channels": 3, "activation": "relu"}
    _run(root / "run", scale=3, options=options)
    net = network.init("sesr_m3", scale=3, key=jax.random.key(0), expansion=2, **options)
    net = dataclasses.replace(net.collapse(), options=options)
    settings = {"data": [str(root / "Set5")], "calibrate": str(root / "Set5")}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(facts, "load_network", lambda run: net)
        for name in (None, "sesr_m3", "sesr_m3_hw"):
            with pytest.raises(InputError, match=str(name or "sesr_m3")):
                publishing.publish(root / "run", name=name, folder=root / "none", **settings)
        published = publishing.publish(
            root / "run", name="sesr_m3_rgb", folder=root / "out", **settings
        )
    return root, net, published


def test_networks_of_rgb_are_measured_on_rgb(shipped_rgb):
    root, net, published = shipped_rgb
    assert not (root / "none").exists()
    assert (published["name"], published["options"]) == ("sesr_m3_rgb_x3", net.options)
    assert {figure["protocol"] for figure in published["figures"]} == {RGB.name, RGB8.name}
    (score,) = measure(from_network(net), [str(root / "Set5")], RGB)
    assert published["figures"][0]["psnr"] == pytest.approx(score.mean["psnr"], abs=1e-4)


def test_no_paper_stands_beside_figures_on_rgb(shipped_rgb, shipped):
    *_, published = shipped_rgb
    assert "upscales RGB ×3" in make_card(published)
    text = make_card({**published, "scale": 2})  # at which the paper has figures, of luma
    assert not re.search("reached|published", text)
    luma, rgb = make_results_table([published, shipped[2]]).split("PSNR in dB on RGB")
    assert [word in luma for word in ("paper", "sesr_m3_x2", "rgb_x3")] == [True, True, False]
    assert [word in rgb for word in ("paper", "sesr_m3_x2", "rgb_x3")] == [False, False, True]


def test_networks_for_real_photos_are_measured_on_degraded_photos(shipped_rgb, tmp_path):
    *_, published = shipped_rgb
    _run(tmp_path / "run", scale=3, data={**train.base().data, "degraded": True})
    (past,) = train.read_history(tmp_path / "run").runs
    protocol = facts._choose_protocol(past, 3)
    assert protocol == DEGRADED
    figures = [
        figure | {"protocol": protocol.name} if figure["protocol"] == RGB.name else figure
        for figure in published["figures"]
    ]
    published = {**published, "protocol": protocol.name, "figures": figures}
    assert "protocol `degraded`" in make_card(published)
    assert "protocol degraded" in make_results_table([published])


def test_a_network_of_rgb_ships_by_its_name(shipped_rgb, tmp_path, capsys, monkeypatch):
    root, _, published = shipped_rgb
    monkeypatch.setattr(pretrained, "FOLDER", root / "out")
    photo, large = root / "Set5" / "one.png", tmp_path / "large.png"
    assert main(["upscale", str(photo), str(large), "--model", published["name"]]) == 0
    assert read_image(large).shape == (3 * 40, 3 * 48, 3)
    assert main(["eval", "--model", published["name"], "--data", str(root / "Set5")]) == 0
    printed = capsys.readouterr().out
    assert "protocol rgb;" in printed
    assert f"{published['figures'][0]['psnr']:.2f}/" in printed


def test_the_command_refuses_in_one_sentence(tmp_path, capsys):
    command = ["publish", "--model", str(tmp_path), "--data", "embedded:eval"]
    assert main([*command, "--out", str(tmp_path / "out")]) == 2
    assert "not the folder of a run" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main([*command, "--from", "run@many"])
    assert "number of steps" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_the_cards_that_ship_are_made_of_their_facts(tmp_path):
    from sesr_jax.pretrained import FOLDER

    for published in read_facts():
        assert (FOLDER / f"{published['name']}.md").read_text("utf-8") == make_card(published)
        report.write_svg(plot_curve(published), tmp_path / "curve.svg")
        assert (FOLDER / f"{published['name']}.svg").read_bytes() == (
            tmp_path / "curve.svg"
        ).read_bytes()
        for file, size in published["files"].items():
            assert (FOLDER / file).stat().st_size == size


@pytest.mark.parametrize(
    ("sets", "named"),
    [(("Set5", "Set6"), "Set6"), (("Set5", "other/Set5"), "other/Set5")],
)
def test_what_cannot_be_measured_leaves_the_files_alone(shipped, monkeypatch, sets, named):
    root, net, _ = shipped
    write_image(root / "sets" / "other" / "Set5" / "one.png", _PHOTO)
    monkeypatch.setattr(facts, "load_network", lambda run: net)
    before = {path: path.stat().st_mtime_ns for path in (root / "out").iterdir()}
    with pytest.raises(InputError, match=named):
        publishing.publish(
            root / "float",
            data=[str(root / "sets" / name) for name in sets],
            calibrate=str(root / "sets" / "CID22"),
            folder=root / "out",
        )
    assert {path: path.stat().st_mtime_ns for path in (root / "out").iterdir()} == before
