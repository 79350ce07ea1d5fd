"""Ablations: several seeds at once are the runs that each would be alone, and the command resumes."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from pool_steps import compile_for_pool

from sesr_jax import train
from sesr_jax.cli.main import main
from sesr_jax.data.pool import make_pool
from sesr_jax.data.sources import ImagePair, open_source
from sesr_jax.errors import InputError
from sesr_jax.files import lock_folder
from sesr_jax.metrics import Y, evaluate, mean
from sesr_jax.models import network
from sesr_jax.recipes import read_config
from sesr_jax.reparam import FORMS
from sesr_jax.reparam.cost import make_photo_noise
from sesr_jax.train.ablation import PAGE, Result, ablate, base_ablation, make_table
from sesr_jax.train.optim import make_optimizer
from sesr_jax.train.state import init_state, stack_states, unstack_state
from sesr_jax.train.validation import validate

_CONFIG = "forms"
_SEEDS = (3, 1)


@pytest.fixture
def config(photos):
    made = base_ablation()
    made.model.name = "sesr_m3"
    made.conditions = ("dense", "acnet+residual")
    made.seeds = 2
    made.data.update(train=str(photos), eval=str(photos), patch=12, batch=2)
    made.update(steps=2, steps_per_call=2, eval_every=2, checkpoint_every=2)
    return made


def test_several_seeds_are_the_runs_alone():
    config = train.base()
    config.data.update(patch=12, batch=2)
    config.update(steps=2, steps_per_call=2)
    image = (make_photo_noise((1, 64, 64, 3))[0] * 255).astype(np.uint8)
    pool = make_pool([ImagePair(name="generated", hr=image)], scale=2, patch=12)
    options = {"form": "dense", "blocks": 1, "features": 4}
    nets = [network.init("sesr_m3", scale=2, key=jax.random.key(s), **options) for s in _SEEDS]
    tx = make_optimizer(config)
    starts = [init_state(net.variables, tx) for net in nets]
    together = compile_for_pool(nets[0].module, config, pool, seed=_SEEDS)
    states, metrics = together(stack_states(starts), pool, 0)
    losses = metrics["loss"]
    assert losses.shape == (2, len(_SEEDS))

    config.seed = _SEEDS[1]
    alone = compile_for_pool(nets[1].module, config, pool)
    state, metrics = alone(starts[1], pool, 0)
    np.testing.assert_array_equal(losses[:, 1], metrics["loss"])
    one = unstack_state(states, 1)
    assert int(one.step) == int(state.step) == 2
    jax.tree.map(np.testing.assert_array_equal, one.variables, state.variables)
    # The steps gave away their own buffers, and not the given parameters.
    assert all(bool(jnp.isfinite(p).all()) for p in jax.tree.leaves(nets[1].variables))


def test_an_ablation_compares_resumes_and_refuses_to_mix(photos, tmp_path, capsys):
    overrides = [f"--config.data.{kind}={photos}" for kind in ("train", "eval")]
    overrides += ["--config.model.name=sesr_m3", "--config.conditions=('dense','acnet+residual')"]
    command = ["ablate", "--config", f"{_CONFIG}:smoke", "--workdir", str(tmp_path)]
    assert main([*command, *overrides]) == 0
    out = capsys.readouterr().out
    assert out.startswith("dense: ")
    assert "trained parameters" in out
    page = (tmp_path / PAGE).read_text("utf-8")
    assert page.count("<svg") == 2
    assert "acnet+residual" in page

    config = read_config(f"{_CONFIG}:smoke", overrides)
    before = (tmp_path / "dense.json").stat().st_mtime_ns
    results = ablate(config, tmp_path, lambda _: None)
    assert (tmp_path / "dense.json").stat().st_mtime_ns == before
    assert list(results) == ["bicubic", "dense", "acnet+residual"]
    assert [len(result.psnr) for result in results.values()] == [1, 2, 2]
    assert len(set(results["dense"].psnr)) == 2  # seeds differ
    assert results["acnet+residual"].parameters > results["dense"].parameters

    best = network.load(tmp_path / "dense.safetensors")
    pictures = open_source(str(photos), scale=2)
    scores = mean(evaluate(lambda x: best.apply(x[None])[0], pictures, 2, Y))
    assert scores["psnr"] == pytest.approx(max(results["dense"].psnr), abs=1e-3)

    content = json.loads((tmp_path / "dense.json").read_text())
    del content["config"]["data"]["intensities"]  # which earlier versions lacked
    (tmp_path / "dense.json").write_text(json.dumps(content))
    again = ablate(config, tmp_path, lambda _: None)
    assert again["dense"] == results["dense"]

    with lock_folder(tmp_path), pytest.raises(InputError, match=str(tmp_path)):
        ablate(config, tmp_path)
    config.optim.lr = 0.1
    with pytest.raises(InputError, match=r"dense\.json"):
        ablate(config, tmp_path)


def test_a_table_has_the_best_first_and_the_spread():
    results = {
        "a": Result(parameters=1000, psnr=(30.0, 32.0)),
        "b": Result(parameters=20, psnr=(33.0,)),
    }
    rows, header = make_table(results)
    assert [row[0] for row in rows] == ["b", "a"]
    assert rows[1][1:] == ["1,000", f"31.000 ± {np.std([30, 32], ddof=1):.3f}", "30.000", "32.000"]
    assert len(header) == len(rows[0])


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("conditions", ("denes",), "'denes'"),
        ("conditions", ("dense+bias",), r"'dense\+bias'.*'\+residual'"),
        ("conditions", (), r"conditions \(\)"),
        ("seeds", 0, "seeds is 0"),
        ("init", "w.safetensors", r"init 'w\.safetensors'"),
    ],
)
def test_what_cannot_be_compared_is_refused_before_any_work(config, tmp_path, key, value, message):
    config[key] = value
    with pytest.raises(InputError, match=message):
        ablate(config, tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_seeds_are_counted_from_that_of_the_config(config, tmp_path):
    config.conditions = ("dense",)
    (_, second) = ablate(config, tmp_path / "two", lambda _: None)["dense"].psnr
    config.update(seed=1, seeds=1)
    (alone,) = ablate(config, tmp_path / "one", lambda _: None)["dense"].psnr
    assert alone == pytest.approx(second, abs=1e-3)


def test_images_beyond_the_device_s_share_are_refused(config, photos, tmp_path):
    config.data.update(train=str(photos), eval=str(photos), device_bytes=1)
    with pytest.raises(InputError, match=r"config\.data\.device_bytes = 1:"):
        ablate(config, tmp_path)


def test_a_config_of_the_other_verb_is_refused(config, tmp_path):
    with pytest.raises(InputError, match=r"\('dense', .*sesr ablate"):
        train.train(config, tmp_path / "run", progress=False)
    with pytest.raises(InputError, match=r"config\.conditions"):
        ablate(train.base(), tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("variant", ["paper", "cpu", "smoke"])
def test_the_experiment_is_valid(variant):
    config = read_config(f"{_CONFIG}:{variant}")
    validate(config)
    assert variant == "smoke" or set(FORMS) < set(config.conditions)
