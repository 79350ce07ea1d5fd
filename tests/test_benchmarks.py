"""Every benchmark runs, in small, by its command."""

import dataclasses
import json
import pathlib
import shutil
import subprocess
import sys
from importlib.util import find_spec

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from safetensors.numpy import save_file

from sesr_jax.data import write_image
from sesr_jax.errors import InputError
from sesr_jax.models import create
from sesr_jax.reparam import Conv

_ROOT = pathlib.Path(__file__).parents[1]
_SMOKE = {
    "aim_2020": "--target vs680",
    "amsgrad": "--steps 30",
    "bm1684x": "--model sesr_m5_hw --repetitions 1",
    "collapse": "--form dense --batch 2 --crop 16 --repetitions 1 --large sesr_m3 --small sesr_m3",
    "degradation": "benchmarks --batch 1 --batches 1 --side 32 --cores 1 --repetitions 1",
    "export": "--model sesr_m3 --frame 48x40 --size 48x40 --repetitions 1",
    "found_networks": "--network sesr_m3_hw --seeds 1 --variant smoke",
    "interruptions": "--only upscale --by limit --by kill --trials 1",
    "kernels": "--case conv2d --model sesr_m3 --size 12 --repetitions 1",
    "mobile_ai": "",
    "npu": "--reference . --repetitions 1",
    "official": "benchmarks",
    "official_int8": "benchmarks",
    "official_layers": "benchmarks",
    "official_qat": "benchmarks",
    "prelu": "--size 16x16 --repetitions 1",
    "recipes": "--row constant --seeds 1 --steps 2",
    "search": "--minutes 0 --config sesr_search_x2:smoke --repetitions 1 --at-once 2",
    "steps": "--model sesr_m3 --batch 2 --crop 16 --repetitions 1",
    "unchanged": ". --only scanned",
    "upscaling": "--rounds 1 --frames 2 --shrink 8",
    "vela": "--network conv_16_16_3 --target ethos-u65-512",
    "vs680": "",
}


def test_every_benchmark_has_a_smoke_mode():
    assert {p.stem for p in (_ROOT / "benchmarks").glob("*.py")} - {
        "fuzz",  # in a test of its own
        "fuzz_doors",
        "fuzz_mutations",
        "fuzz_sandbox",
        "golden",  # with official weights alone
        *("accelerator", "accelerator_report", "accelerator_step", "accelerator_tiny", "carry"),
        "npu_networks",
        "race",
        "real_esrgan",
        "rivals",
        "timing",
        "unchanged_results",
    } == set(_SMOKE)


def _run(name, tmp_path, *options):
    results = tmp_path / "results.json"
    command = [sys.executable, "-m", f"benchmarks.{name}", *_SMOKE[name].split(), *options]
    ran = subprocess.run(
        [*command, "--json", str(results)], cwd=_ROOT, check=True, capture_output=True, text=True
    )
    return json.loads(results.read_text("utf-8")), ran.stdout


def test_forms_of_prelu_are_prelu(tmp_path):
    results, printed = _run("prelu", tmp_path)
    floats = {name: found["codes"] for name, found in results.items() if name.endswith("float")}
    for name, codes in floats.items():
        assert (codes < 0.01) == ("(" not in name), name  # those in brackets are other functions
        assert name in printed


def test_degradations_are_timed_without_the_original(tmp_path):
    results, printed = _run("degradation", tmp_path)
    assert list(results) == ["ours, 32×32, 1"]
    assert "BasicSR" in printed


def test_upscaling_is_timed_by_each_runtime(tmp_path):
    results, printed = _run("upscaling", tmp_path)
    assert len(results) == 6
    for case, found in results.items():
        assert 0 < found["wall"] < 60, case
        assert 50 < found["memory"] < 1500, case
        assert case.rpartition(", ")[2] in printed


def test_amsgrad_is_that_of_keras_and_pytorch_and_not_that_of_optax(tmp_path):
    results, printed = _run("amsgrad", tmp_path)
    assert len(results) == 4
    for scenario, others in results.items():
        for name in {"Keras", "PyTorch, both without epsilon"} & others.keys():
            assert others[name]["difference"] < 1e-4, scenario
        assert others["optax"]["difference"] > 0.02, scenario
    assert "last steps" in printed


@pytest.fixture
def images(tmp_path) -> pathlib.Path:
    """A folder of one image."""
    waves = np.uint8(127.5 + 127.5 * np.sin(np.arange(80)[:, None] * np.arange(96) / 200))
    write_image(tmp_path / "images" / "waves.png", waves)
    return tmp_path / "images"


def test_found_networks_are_measured_in_float_and_in_int8_and_not_twice(images, tmp_path, capsys):
    from benchmarks import found_networks

    command = [str(tmp_path / "runs"), *_SMOKE["found_networks"].split(), "--data", str(images)]
    found_networks.main([*command, "--json", str(tmp_path / "found.json")])
    ((scores,),) = json.loads((tmp_path / "found.json").read_text("utf-8")).values()
    assert scores.keys() == {"float", "INT8"}
    assert "sesr_m3_hw" in (printed := capsys.readouterr().out)
    shutil.rmtree(tmp_path / "runs" / "sesr_m3_hw_0" / "float")  # what is measured needs no run
    found_networks.main(command)
    assert capsys.readouterr().out == printed


def test_the_trainings_of_recipes_go_on_where_they_ended(images, tmp_path, capsys):
    from benchmarks import recipes

    images = "--train", str(images), "--data", str(images)
    command = [str(tmp_path / "runs"), *_SMOKE["recipes"].split(), *images]
    recipes.main(command)
    first = capsys.readouterr().out.splitlines()
    assert first[0].startswith("constant, seed 0")
    recipes.main(command)
    assert capsys.readouterr().out.splitlines() == first[1:]
    with pytest.raises(InputError, match="--steps 2, not 4"):
        recipes.main([*command, "--steps", "4"])


def test_the_collapse_is_timed(tmp_path):
    results, printed = _run("collapse", tmp_path)
    assert results["collapse"].keys() == {"step", "dense"}
    assert results["modes"]["dense"].keys() == {"collapsed", "expanded"}
    assert all(v > 0 for v in (*results["collapse"].values(), *results["modes"]["dense"].values()))
    assert "expanded / collapsed" in printed


def test_official_weights_that_are_not_there_are_named(tmp_path, capsys):
    from benchmarks import official_int8, official_layers, official_qat

    told = [_run("official", tmp_path)]
    for benchmark in (official_int8, official_layers, official_qat):
        benchmark.main([str(tmp_path), "--json", str(tmp_path / "found.json")])
        found = json.loads((tmp_path / "found.json").read_text("utf-8"))
        told.append((found, capsys.readouterr().out))
    for found, text in told:
        assert found == {}
        assert "RFDN_AIM.pth" in text


def test_int8_costs_what_its_files_cost_and_refusals_are_named(tmp_path, monkeypatch):
    from benchmarks import official_int8
    from benchmarks.official_int8 import format_row, measure_network
    from sesr_jax.models import network

    pixels = np.random.default_rng(0).integers(0, 256, (48, 52, 1), np.uint8)
    write_image(tmp_path / "Set5" / "noise.png", np.repeat(pixels, 3, axis=-1))
    fresh = network.init("sesr_m3", scale=2, key=jax.random.key(0), expansion=4, blocks=1)
    sets, targets = [str(tmp_path / "Set5")], ["ethos-u85-2048", "ethos-n78-4tops"]
    monkeypatch.setattr(official_int8, "LITTLE", -9)  # so that the dearest parts are looked for
    found = measure_network(fresh, sets, sets[0], targets, ["min_max", "mse"])
    assert found.observer in ("min_max", "mse", "chosen")
    (before,), (after,) = found.float_psnr, found.int8_psnr
    assert before != after == pytest.approx(before, abs=0.5)
    # The first has no depth_to_space, and gets a transposed convolution; the second has no PReLU for each
    # channel and no sum of maps of different depths.
    assert list(found.refused.values()) == [[], ["add", "prelu"]]
    cells = format_row("x", found)
    assert cells[:4] == ["x", f"{before:.2f}", f"{after:.2f}", f"{before - after:.2f}"]
    assert cells[-1].endswith("(no add, prelu)")
    assert found.worst[0].endswith(("codes", "weights"))
    assert found.split_psnr is None  # there is no concat
    assert len(set(found.spared.split(" of "))) == 1
    split = dataclasses.replace(found, split_psnr=[before - 0.25], spared="3 of 9")
    assert format_row("x", split)[6] == "split concats, lost 0.25; 3 of 9 parts in float"


def test_the_layers_that_cost_most_and_split_concats_are_told(monkeypatch):
    from benchmarks import official_layers
    from benchmarks.official_layers import format_row, measure_network
    from sesr_jax.models import network

    monkeypatch.setattr(official_layers, "_SIDE", 12)
    options = {"features": 8, "blocks": 1, "form": "dense"}
    fresh = network.init("imdn_aim2019", scale=4, key=jax.random.key(0), **options)
    found = measure_network(fresh, "embedded:eval", "embedded:eval")
    joined, split = found["joined"], found["split"]
    assert split.spared[1] > joined.spared[1]  # each part of a concat has a convolution
    assert joined.lost >= joined.weights >= 0
    assert joined.worst[1] <= joined.lost + 0.01
    assert joined.by_observer.keys() == {"min_max", "mse", "chosen"}
    assert joined.lost == joined.by_observer[joined.observer] == min(joined.by_observer.values())
    count, all_codes, lost = joined.wide
    assert 1 <= count < all_codes < joined.spared[1]
    assert lost <= joined.wide_one <= joined.lost + 0.01
    assert format_row("x", found)[-2:] == [f"{split.lost:.2f}", "{} of {}".format(*split.spared)]


def test_a_short_training_for_int8_starts_from_the_network_that_was_given(tmp_path):
    from benchmarks.official_qat import as_dense, measure_network
    from sesr_jax.models import network

    pixels = np.random.default_rng(0).integers(0, 256, (160, 160, 3), np.uint8)
    write_image(tmp_path / "Set5" / "noise.png", pixels)
    options = {"features": 4, "blocks": 1}
    fresh = network.init("spanv2", scale=4, key=jax.random.key(0), **options)
    dense = as_dense(fresh)
    x = jax.numpy.asarray(pixels[None, :12, :12] / np.float32(255))
    np.testing.assert_allclose(dense.apply(x), fresh.apply(x), atol=1e-5)
    data = str(tmp_path / "Set5")
    (before,), (after,) = measure_network(fresh, [data], data, 2)
    assert before != after == pytest.approx(before, abs=1)


def test_latency_estimates_stand_beside_published_figures(tmp_path):
    results, printed = _run("npu", tmp_path)
    assert results["seconds"] > 0
    assert "ethos_n78" not in results  # its table is not there
    assert all(target in printed for target in ("ethos-n78-4tops", "bm1684x-int8", "vs680"))


def test_estimates_for_a_bm1684x_stand_beside_boards_and_timelines(tmp_path):
    results, printed = _run("bm1684x", tmp_path)
    residuals = {row[1]: float(row[-1].rstrip("%")) for row in results["boards"][:3]}
    assert residuals.keys() == {"f32", "f16", "int8"}
    assert all(abs(residual) <= 12 for residual in residuals.values())
    assert all(value > 0 for value in results["host"].values())
    assert "tpu-mlir 1.30.2" in printed


def test_the_target_of_mobile_ai_holds_what_is_fitted(tmp_path):
    results, printed = _run("mobile_ai", tmp_path)
    for held, found in results["fit"].values():
        assert held == pytest.approx(found, rel=0.05)
    assert "reconstructed" in printed


def test_the_target_of_the_vs680_s_later_toolchain_holds_what_is_fitted(tmp_path, capsys):
    from benchmarks import vs680

    vs680.main(["--json", str(tmp_path / "results.json")])
    results = json.loads((tmp_path / "results.json").read_text())
    held, found = results["fit"]
    assert held == pytest.approx(found, rel=0.05)
    errors = {row[0]: abs(float(row[4].rstrip("%"))) for row in results["rows"] if row[-1]}
    assert len(errors) == 3
    assert max(errors.values()) <= 10
    assert "mobilenet_v2" in capsys.readouterr().out


@pytest.mark.skipif(find_spec("ethosu") is None, reason='Vela comes with the extra "npu"')
def test_latency_estimates_stand_beside_vela(tmp_path):
    results, printed = _run("vela", tmp_path)
    (row,) = results["ethos-u65-512"]
    assert row["ours"] == pytest.approx(row["theirs"], rel=0.2)
    assert "rank correlation" in printed


def test_a_checkout_trains_as_itself(tmp_path):
    results, printed = _run("unchanged", tmp_path)
    assert results == {"scanned": []}
    assert "scanned: the same" in printed


@pytest.mark.parametrize("changed", ["weights", "log", "result", "nothing"])
def test_what_differs_between_two_trainings_is_named(tmp_path, changed):
    from benchmarks.unchanged_results import compare_runs

    folders = tmp_path / "here", tmp_path / "there"
    for folder, value in zip(folders, (1.0, 2.0), strict=True):
        weight, loss, psnr = (
            value if changed == what else 3.0 for what in ("weights", "log", "result")
        )
        folder.mkdir()
        save_file({"w": np.float32([weight])}, folder / "model.safetensors")
        (folder / "dense.json").write_text(json.dumps({"result": {"psnr": [psnr]}}))
        line = {"step": 2, "loss": loss, "steps_per_second": value}
        (folder / "log.jsonl").write_text(json.dumps(line))
    found = compare_runs(*folders)
    assert len(found) == (changed != "nothing")
    names = {"weights": "model.safetensors", "log": "log", "result": "dense.json"}
    assert all(names[changed] in words for words in found)


def test_rows_that_differ_are_named():
    from benchmarks.unchanged_results import describe_difference

    rows = [["sesr_m5", "1.2"], ["fsrcnn", "3.4"]]
    words = describe_difference(rows, [rows[0], ["fsrcnn", "5.6"]])
    assert "3.4" in words
    assert "5.6" in words
    assert "1.2" not in words
    assert "none" in describe_difference(rows, rows[:1])
    assert "order" in describe_difference(rows, rows[::-1])
    assert "7" in describe_difference(None, 7)


def test_an_interrupted_upscaling_loses_nothing(tmp_path):
    results, printed = _run("interruptions", tmp_path)
    del results["upscale, kill"]["interrupted"]  # a fast machine may have been done
    assert results == {
        "upscale, limit": {"trials": 1, "interrupted": 1, "intact": 1, "sentence": 1, "resumed": 1},
        "upscale, kill": {"trials": 1, "intact": 1, "resumed": 1},
    }
    assert "resumed" in printed


def test_kernels_stand_beside_the_reference(tmp_path):
    results, printed = _run("kernels", tmp_path)
    assert [result["name"] for result in results] == ["conv2d", "sesr_m3"]
    for result in results:
        for found in result["kernels"].values():
            # Kernels may round otherwise; they compute the same function.
            assert 0 <= found["mean"] <= found["largest"] < 30
        assert result["name"] in printed


def test_exports_are_timed_and_their_files_raced(tmp_path):
    results, printed = _run("export", tmp_path)
    assert results["export"].keys() == {"jax2tf", "litert"}
    assert results["frame"].keys() == {"INT8 file", "float file", "jax.jit"}
    assert all(v > 0 for v in (*results["export"].values(), *results["frame"].values()))
    assert "against jax.jit" in printed


def test_searches_are_timed_and_networks_trained_at_once(tmp_path):
    tiny = {
        "depth": 1,
        "min_depth": 0,
        "widths": (8,),
        "forms": ("dense",),
        "activations": ("relu",),
    }
    settings = (f"--config.search.space_options={tiny}", "--config.search.crop=16")
    results, printed = _run("search", tmp_path, "--row", "one process", *settings)
    assert results["candidates"] == 2
    assert results["rows"]["one process"]["seconds"] > 0
    assert results["together"].keys() == {"1", "2"}
    assert "per hour" in printed


def test_steps_stand_beside_those_of_others(tmp_path):
    some = ("--step", "ours, expanded", "--step", "PyTorch, eager")  # PyTorch compiles for long
    results, printed = _run("steps", tmp_path, *some)
    if find_spec("torch") is None:
        assert "PyTorch is not installed" in printed
    assert "Arm's steps are not measured" in printed
    assert results.keys() == {"steps", "crops", "parts"}
    for table in results.values():
        for found in table.values():
            assert all(second > 0 for runs in found["seconds"].values() for second in runs)
        # PyTorch is told from the rest by its name alone.
        torch = {name for name in table if "PyTorch" in name}
        assert bool(torch) == (find_spec("torch") is not None)


@pytest.mark.skipif(find_spec("torch") is None, reason="PyTorch is measured against, not needed")
@pytest.mark.parametrize("channels_last", [False, True])
def test_the_rival_in_pytorch_is_the_same_network(channels_last):
    import torch

    from benchmarks.rivals import torch_network

    module = create("sesr_m3", scale=2, expansion=12)
    keys = jax.random.split(jax.random.key(0), 3)
    params = jax.jit(module.init)(keys[0], jnp.zeros((1, 8, 8, 1)))["params"]
    leaves, tree = jax.tree.flatten(params)
    noise = jax.random.split(keys[1], len(leaves))
    params = tree.unflatten(
        [p + 0.1 * jax.random.normal(k, p.shape) for p, k in zip(leaves, noise, strict=True)]
    )

    def tensor(array, *axes):
        return torch.from_numpy(np.array(jnp.transpose(array, axes or None)))

    def term(name):
        wide, narrow = jax.tree.leaves(params[name], is_leaf=lambda t: isinstance(t, Conv))
        kernels = tensor(wide.kernel, 3, 2, 0, 1), tensor(narrow.kernel[0, 0], 1, 0)
        return [kernels[0], tensor(wide.bias), kernels[1], tensor(narrow.bias)]

    network, parameters = torch_network(
        [term(name) for name in ("head", "block_0", "block_1", "block_2", "tail")],
        [tensor(params[f"prelu_{i}"]["slope"]) for i in range(3)],
        channels_last=channels_last,
    )
    x = jax.random.uniform(keys[2], (2, 10, 12, 1))
    y, grads = jax.value_and_grad(lambda p: jnp.sum(module.apply({"params": p}, x) ** 2))(params)
    loss = (network(tensor(x, 0, 3, 1, 2)) ** 2).sum()
    loss.backward()
    assert loss.item() == pytest.approx(float(y), rel=1e-4)
    total = sum(float(jnp.sum(g**2)) for g in jax.tree.leaves(grads))
    assert sum((p.grad**2).sum().item() for p in parameters) == pytest.approx(total, rel=1e-3)
