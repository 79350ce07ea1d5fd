"""Distillation: the ensemble's symmetry, a run through the command, and what is refused."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from sesr_jax import train
from sesr_jax.cli.main import main
from sesr_jax.errors import InputError
from sesr_jax.models import network
from sesr_jax.train.distill import make_target, self_ensemble
from sesr_jax.train.validation import validate

_TINY = {"form": "dense", "blocks": 1, "features": 4}

_CONFIG = f"""
from sesr_jax import train


def get_config(variant):
    config = train.base()
    config.model.update(name="sesr_m3", scale=2, options={_TINY})
    config.data.update(patch=8, batch=4)
    config.ema = 0.9
    config.update(steps=4, steps_per_call=2, eval_every=4, checkpoint_every=2)
    return train.apply_variant(config, variant)
"""


def _teacher(path, scale=2, seed=5, **options):
    net = network.init("sesr_m3", scale=scale, key=jax.random.key(seed), **_TINY, **options)
    network.save(net, path)
    return net


def _symmetries(x):
    """The eight of the square by numpy's turns, of ``[N, p, p, C]``."""
    return [
        turn for flip in (x, x[:, ::-1]) for turn in (np.rot90(flip, k, (1, 2)) for k in range(4))
    ]


def test_an_ensemble_turns_with_its_image_whatever_it_is_made_of():
    """Exactly, on integers: `skew` sees where a pixel lies, the ensemble does not see how an image lies."""
    rng = np.random.default_rng(0)
    mask = jnp.asarray(rng.integers(0, 9, (6, 6, 1)), jnp.float32)

    def skew(x):
        return (mask * x).repeat(2, 1).repeat(2, 2)

    x = rng.integers(0, 9, (2, 6, 6, 1)).astype(np.float32)
    whole = self_ensemble(skew)(jnp.asarray(x))
    assert (whole != skew(x)).any()
    for turned, want in zip(_symmetries(x), _symmetries(np.asarray(whole)), strict=True):
        np.testing.assert_array_equal(self_ensemble(skew)(jnp.asarray(turned)), want)


def test_an_ensemble_of_what_turns_with_the_image_is_itself():
    x = jnp.asarray(np.random.default_rng(1).integers(0, 9, (2, 5, 5, 3)), jnp.float32)
    np.testing.assert_array_equal(self_ensemble(lambda x: x.repeat(3, 1).repeat(3, 2))(x),
                                  x.repeat(3, 1).repeat(3, 2))  # fmt: skip


@pytest.fixture
def config(tmp_path):
    made = train.base()
    made.distill.update(teacher=str(tmp_path / "teacher.safetensors"), weight=0.5)
    return made


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"distill.teacher": ""}, r"weight 0\.5 .*teacher ''"),
        ({"distill.weight": 0.0}, r"weight 0\.0 .*teacher '.*teacher.*'"),
        ({"distill.weight": 1.5}, r"config\.distill\.weight is 1\.5"),
    ],
)
def test_a_teacher_and_its_weight_go_together(config, change, message):
    config.update_from_flattened_dict(change)
    with pytest.raises(InputError, match=message):
        validate(config)


def test_a_teacher_that_is_missing_or_of_another_kind_is_refused(config, tmp_path):
    with pytest.raises(InputError, match=r"teacher\.safetensors"):
        make_target(config, 1)
    _teacher(config.distill.teacher, scale=3)
    with pytest.raises(InputError, match=r"×3 and 1 channels.*×2 and 1"):
        make_target(config, 1)
    _teacher(config.distill.teacher, channels=3)
    with pytest.raises(InputError, match=r"×2 and 3 channels.*×2 and 1"):
        make_target(config, 1)


def test_the_command_distils_resumes_to_the_same_weights_and_keeps_to_its_teacher(
    photos, tmp_path, capsys
):
    (tmp_path / "tiny.py").write_text(_CONFIG)
    _teacher(tmp_path / "teacher.safetensors")

    def run(name, *more, variant="distill"):
        command = ["train", "--quiet", "--config", f"{tmp_path}/tiny.py:{variant}"]
        command += [f"--config.data.{kind}={photos}" for kind in ("train", "eval")]
        return main([*command, "--workdir", str(tmp_path / name), *more])

    def weights(name):
        return network.load(tmp_path / name / train.EXPANDED).variables

    teacher = f"--config.distill.teacher={tmp_path}/teacher.safetensors"
    assert run("none") == 2
    assert "0.5" in capsys.readouterr().err
    assert run("whole", teacher) == 0
    assert run("parts", teacher, "--config.steps=2", "--config.eval_every=2") == 0
    assert run("parts", teacher) == 0
    jax.tree.map(np.testing.assert_array_equal, weights("whole"), weights("parts"))

    assert run("parts", teacher, "--config.distill.weight=0.4") == 2
    assert "distill.weight (0.5 there, 0.4 here)" in capsys.readouterr().err
    assert run("parts", variant="paper") == 2
    assert "distill.teacher" in capsys.readouterr().err
    _teacher(tmp_path / "teacher.safetensors", seed=6)
    assert run("parts", teacher) == 2
    assert "began to learn from: a run has one teacher" in capsys.readouterr().err
