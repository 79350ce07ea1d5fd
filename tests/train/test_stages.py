"""Runs of several stages: what their boundaries keep and change, and that a killed run ends the same."""

import pathlib
import shutil
import sys

import jax
import jax.numpy as jnp
import ml_collections
import numpy as np
import optax
import pytest

from sesr_jax import reparam, train
from sesr_jax.errors import InputError
from sesr_jax.models import network
from sesr_jax.train import checkpoint, saving
from sesr_jax.train.config import list_stage_settings
from sesr_jax.train.optim import make_optimizer
from sesr_jax.train.stage_page import PAGE
from sesr_jax.train.stages import enter, eval_state_shapes, find_stage, pair_trainers, plan
from sesr_jax.train.state import TrainState, init_state
from sesr_jax.train.trainers import make_trainer
from sesr_jax.train.validation import validate


@pytest.fixture(scope="module")
def config(photos) -> ml_collections.ConfigDict:
    """Three stages of a few steps: scratch, two more bases, collapsed; read only."""
    made = train.base()
    made.model.update(name="sesr_m3", scale=2)
    made.model.options = ml_collections.ConfigDict({"form": "kernel_basis", "blocks": 1})
    made.data.update(train=str(photos), eval=str(photos), patch=8, batch=4)
    made.update(steps=4, steps_per_call=2, eval_every=100, checkpoint_every=2, keep=100)
    made.ema = 0.5
    made.stages = (
        train.stage(),
        train.stage("grow_basis", added=2, optim={"warmup": 2}),
        train.stage("collapse", steps=2, loss="l2", optim={"lr": 1e-5}, data={"patch": 16}),
    )
    return made


@pytest.fixture(scope="module")
def run(config, tmp_path_factory) -> pathlib.Path:
    """The folder of a finished run of `config`, with all its checkpoints."""
    folder = tmp_path_factory.mktemp("run")
    train.train(config, folder, progress=False)
    return folder


def _copy(config: ml_collections.ConfigDict) -> ml_collections.ConfigDict:
    copy = ml_collections.ConfigDict(config.to_dict())
    copy.stages = tuple(ml_collections.ConfigDict(stage) for stage in copy.stages)
    return copy


def _same(a, b) -> None:
    assert jax.tree.structure(a) == jax.tree.structure(b)
    jax.tree.map(np.testing.assert_array_equal, a, b)


def _lines(run: pathlib.Path) -> list[dict[str, float]]:
    """The log, without the speed that no two runs share."""
    return [
        {key: value for key, value in line.items() if key != "steps_per_second"}
        for line in train.read_log(run)
    ]


def _net(config: ml_collections.ConfigDict, seed: int = 0) -> network.Network:
    model = dict(name=config.model.name, scale=config.model.scale, **config.model.options)
    return network.init(key=jax.random.key(seed), **model)


def _variables(config: ml_collections.ConfigDict, seed: int = 0):
    return _net(config, seed).variables


def _enter(config: ml_collections.ConfigDict, index: int, state: TrainState) -> TrainState:
    """`enter` for the stage of that number, by the config's trainers."""
    stages, module = plan(config), _net(config).module
    pairs = pair_trainers([make_trainer(module, stage.config) for stage in stages])
    return enter(stages[index], list(pairs)[index], state, _unmeasured)


def _unmeasured(variables):
    raise AssertionError("only the entry quantise measures")


def _used(state: TrainState, tx: optax.GradientTransformation, steps: int = 3) -> TrainState:
    """`state` after a few updates along made-up gradients, so that no moment is zero."""

    @jax.jit
    def update(params, opt_state):
        for i in range(steps):
            grads = jax.tree.map(lambda p, i=i: jnp.cos(p + i), params)
            updates, opt_state = tx.update(grads, opt_state, params)
            params = optax.apply_updates(params, updates)
        return params, opt_state

    variables, opt_state = update(state.variables, state.opt_state)
    return TrainState(
        step=state.step + steps, variables=variables, ema=variables, opt_state=opt_state
    )


def test_the_log_tells_the_stages_apart(config, run):
    lines = _lines(run)
    losses = [(line["step"], line["stage"]) for line in lines if "loss" in line]
    assert losses == [(2, 0), (4, 0), (6, 1), (8, 1), (10, 2)]
    ends = [(line["step"], line["stage"]) for line in lines if "stage_psnr" in line]
    assert ends == [(4, 0), (8, 1), (10, 2)]
    entered = {line["stage"]: line for line in lines if "kernel_change" in line}
    assert {stage: line["step"] for stage, line in entered.items()} == {1: 4, 2: 8}
    for line in entered.values():  # both entries keep the function
        assert line["kernel_change"] < 1e-6
        assert line["psnr_after"] == pytest.approx(line["psnr_before"], abs=1e-4)
    before = {line["stage"]: line["stage_psnr"] for line in lines if "stage_psnr" in line}
    assert entered[1]["psnr_before"] == before[0]
    assert entered[2]["psnr_before"] == before[1]


def test_the_rate_starts_anew_with_each_stage(config, run):
    rates = {line["step"]: line["learning_rate"] for line in _lines(run) if "loss" in line}
    lr = config.optim.lr
    assert [rates[step] for step in (2, 4, 8)] == pytest.approx([lr, lr, lr])
    assert rates[6] == pytest.approx(lr)  # warmed up over its stage's first two steps
    assert rates[10] == pytest.approx(1e-5)


@pytest.mark.parametrize("step", [2, 4, 6])
def test_a_run_killed_anywhere_ends_as_an_uninterrupted_one(config, run, tmp_path, step):
    """A call before a boundary, at it, and a call after it: checkpoints beyond `step` were not written."""
    killed = tmp_path / "killed"
    shutil.copytree(run, killed)
    for name in (train.WEIGHTS, train.EXPANDED, PAGE):
        (killed / name).unlink()
    for saved in (killed / "checkpoints").iterdir():
        if saved.name.isdigit() and int(saved.name) > step:
            shutil.rmtree(saved)
    _same(
        train.load_network(killed).variables,
        _restored(run, config, step).ema,
    )
    trained = train.train(config, killed, progress=False)
    _same(trained.variables, network.load(run / train.EXPANDED).variables)
    assert _lines(killed) == _lines(run)
    assert (killed / PAGE).exists()


def _restored(run: pathlib.Path, config: ml_collections.ConfigDict, step: int) -> TrainState:
    stages, module = plan(config), _net(config).module
    trainers = [make_trainer(module, stage.config) for stage in stages]
    shapes = eval_state_shapes(module, stages, trainers, _variables(config))[
        find_stage(stages, step).index
    ]
    here = jax.sharding.SingleDeviceSharding(jax.devices()[0])
    wanted = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=here), shapes)
    with saving.open_manager(run) as saved:
        return saved.restore(step, args=saving.ocp.args.StandardRestore(wanted))


def test_checkpoints_hold_the_tree_of_their_stage(config, run):
    sizes = {
        step: set(reparam.list_basis_sizes(_restored(run, config, step).variables))
        for step in (4, 6)
    }
    assert sizes == {4: {3}, 6: {5}}
    last = _restored(run, config, 10)
    _same(last.variables, reparam.collapse(last.variables))
    assert int(last.step) == 10


def test_a_finished_run_is_left_alone_and_its_page_can_be_made_again(config, run, tmp_path):
    done = tmp_path / "done"
    shutil.copytree(run, done)
    before = (done / "log.jsonl").read_bytes()
    page = (done / PAGE).read_text()
    (done / PAGE).unlink()
    train.train(config, done, progress=False)
    assert (done / "log.jsonl").read_bytes() == before
    assert (done / PAGE).read_text() == page


def test_the_page_has_a_curve_and_a_row_for_every_stage(run):
    page = (run / PAGE).read_text()
    for name in ("stage 0: none", "stage 1: grow_basis", "stage 2: collapse"):
        assert name in page
    psnr = [line["stage_psnr"] for line in _lines(run) if "stage_psnr" in line]
    for value in psnr:
        assert f">{value:.2f}</td>" in page
    assert ">5</td>" in page  # bases


def test_without_matplotlib_the_page_is_skipped_with_one_line(
    config, run, tmp_path, monkeypatch, caplog
):
    done = tmp_path / "done"
    shutil.copytree(run, done)
    (done / PAGE).unlink()
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with caplog.at_level("INFO", logger="sesr_jax"):
        train.train(config, done, progress=False)
    assert not (done / PAGE).exists()
    assert len([r for r in caplog.records if "Matplotlib is not installed" in r.message]) == 1


@pytest.mark.parametrize("form", ["acnet", "kernel_basis"])
def test_entering_by_collapse_keeps_the_function_and_forgets_the_moments(config, form):
    config = _copy(config)
    config.model.options = ml_collections.ConfigDict({"form": form, "blocks": 1})
    config.stages = (train.stage(), train.stage("collapse"))
    net = network.init("sesr_m3", scale=2, key=jax.random.key(0), form=form, blocks=1)
    tx = make_optimizer(config)
    old = _used(init_state(net.variables, tx), tx)
    state = _enter(config, 1, old)
    x = jax.random.uniform(jax.random.key(1), (1, 12, 12, 1))
    before, after = (net.module.apply(s.ema, x) for s in (old, state))
    np.testing.assert_allclose(after, before, atol=1e-5)
    _same(state.variables, reparam.collapse(old.ema))
    _same(state.opt_state, tx.init(state.variables))
    assert int(state.step) == int(old.step)


def test_an_entry_of_none_restarts_from_the_average(config):
    tx = make_optimizer(config)
    old = _used(init_state(_variables(config), tx), tx)
    old = old.replace(ema=_variables(config, seed=1))
    state = _enter(config, 0, old)
    _same(state.variables, old.ema)
    _same(state.ema, old.ema)
    _same(state.opt_state, tx.init(old.ema))


@pytest.mark.parametrize("preserve", [True, False])
def test_growing_keeps_the_moments_of_old_kernels_and_the_count_but_not_the_schedules(
    config, preserve
):
    config = _copy(config)
    config.stages = (train.stage(), train.stage("grow_basis", added=2, preserve=preserve))
    tx = make_optimizer(config)
    old = _used(init_state(_variables(config), tx), tx)
    state = _enter(config, 1, old)
    (before, _), (after, schedule) = old.opt_state, state.opt_state
    assert int(after.steps) == int(before.steps) == 3
    assert int(schedule.count) == 0
    for moment in ("mu", "nu", "nu_max"):
        terms = [
            jax.tree.leaves(getattr(s, moment), is_leaf=lambda x: isinstance(x, reparam.Basis))
            for s in (before, after)
        ]
        assert any(isinstance(term, reparam.Basis) for term in terms[0])
        for was, now in zip(*terms, strict=True):
            if isinstance(was, reparam.Basis):
                _same(
                    (now.kernels[:3], now.coefficients[:3], now.bias),
                    (was.kernels, was.coefficients, was.bias),
                )
                assert np.abs(was.kernels).min() > 0
                assert not now.kernels[3:].any()
                assert not now.coefficients[3:].any()
            else:
                np.testing.assert_array_equal(now, was)


def test_another_optimiser_starts_afresh_even_where_bases_grow(config):
    config = _copy(config)
    config.stages = (train.stage(), train.stage("grow_basis", optim={"name": "adam"}))
    tx = make_optimizer(config)
    stage = plan(config)[1]
    state = _enter(config, 1, _used(init_state(_variables(config), tx), tx))
    _same(state.opt_state, make_optimizer(stage.config).init(state.variables))


def test_stages_grow_by_kernels_of_their_own(config):
    config = _copy(config)
    config.stages = (train.stage(), train.stage("grow_basis"), train.stage("grow_basis"))
    tx = make_optimizer(config)
    state = init_state(_variables(config), tx)
    for index in range(3):
        state = _enter(config, index, state)
    kernels = state.variables["params"]["head"]["term"].kernels
    assert len(kernels) == 5
    assert not np.array_equal(kernels[3], kernels[4])


def test_a_run_without_stages_is_one_and_its_log_has_none(config):
    config = _copy(config)
    config.stages = ()
    (stage,) = plan(config)
    assert (stage.start, stage.end, stage.entry.name) == (0, 4, "none")
    assert stage.label == {}
    assert list_stage_settings(config) == (config,)


def test_the_config_of_a_run_of_earlier_versions_has_one_stage(config):
    old = config.to_dict()
    del old["stages"]
    assert [stage.label for stage in plan(ml_collections.ConfigDict(old))] == [{}]


def test_a_longer_last_stage_is_the_same_run_and_a_longer_earlier_one_is_not(config, tmp_path):
    checkpoint.claim(tmp_path, config)
    (tmp_path / "checkpoints" / "2").mkdir(parents=True)
    changed = _copy(config)
    changed.stages[0].steps = 6
    with pytest.raises(InputError, match=r"stages\[0\]\.steps \(None there, 6 here\)"):
        checkpoint.claim(tmp_path, changed)
    changed = _copy(config)
    changed.stages[2].steps = 4
    checkpoint.claim(tmp_path, changed)
    assert plan(checkpoint.read_config(tmp_path))[-1].end == 12


def test_settings_hold_in_their_stage_alone(config):
    first, second, third = list_stage_settings(config)
    assert [s.steps for s in (first, second, third)] == [4, 4, 2]
    assert [s.loss for s in (first, second, third)] == ["l1", "l1", "l2"]
    assert [s.optim.lr for s in (first, second, third)] == [5e-4, 5e-4, 1e-5]
    assert [s.data.patch for s in (first, second, third)] == [8, 8, 16]
    assert third.data.train == config.data.train
    assert config.loss == "l1"


@pytest.mark.parametrize(
    ("stage", "message"),
    [
        (train.stage("melt"), r"'melt'.*none, collapse"),
        (train.stage(steps=0), r"stages\[1\]\.steps is 0: "),
        (train.stage(loss="l3"), r"stages\[1\]\.loss is 'l3'"),
        (train.stage(seed=1), r"stages\[1\]\.seed "),
        (train.stage(added=1), r"stages\[1\]\.added .*'none'"),
        (train.stage(data={"eval": "x"}), r"stages\[1\]\.data\.eval "),
        (train.stage(optim={"speed": 1}), r"stages\[1\] .*speed"),
        (train.stage(optim={"lr": "fast"}), r"stages\[1\] .*(fast|lr|str)"),
        (train.stage(optim={"name": "adamant"}), "'adamant'"),
        (train.stage(optim={"options": {"b3": 1.0}}), "do not fit keras_amsgrad"),
        (train.stage("grow_basis", added=0), r"added is 0"),
        (
            train.stage(data={"patch": 64}),
            r" 128 pixels.* config\.stages\[1\]\.data\.patch",
        ),
    ],
)
def test_bad_stages_are_refused_before_any_work(config, tmp_path, stage, message):
    config = _copy(config)
    config.stages = (train.stage(), stage)
    with pytest.raises(InputError, match=message):
        train.train(config, tmp_path / "run", progress=False)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("options", "stages"),
    [
        ({"blocks": 1}, ("none", "grow_basis")),
        ({"blocks": 1, "form": "kernel_basis"}, ("none", "collapse", "grow_basis")),
    ],
)
def test_growing_what_has_no_basis_is_refused_before_any_work(config, tmp_path, options, stages):
    config = _copy(config)
    config.model.options = ml_collections.ConfigDict(options)
    config.stages = tuple(map(train.stage, stages))
    with pytest.raises(InputError, match="found no Basis term"):
        train.train(config, tmp_path / "run", progress=False)
    assert not (tmp_path / "run").exists()


def test_options_of_the_optimiser_can_differ(config):
    config = _copy(config)
    config.stages = (train.stage(optim={"options": {"b1": 0.8}}),)
    validate(config)
    assert list_stage_settings(config)[0].optim.options.b1 == 0.8
