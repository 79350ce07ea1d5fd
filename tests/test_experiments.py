"""Every experiment runs, in its smoke variant, through the real command."""

import ast
import itertools
import pathlib
import re
import shlex

import pytest

from sesr_jax import train
from sesr_jax.cli.main import main
from sesr_jax.cli.train import read_config
from sesr_jax.errors import InputError
from sesr_jax.models import VARIANTS, create
from sesr_jax.models.abpn import RESIDUALS
from sesr_jax.train.config import validate
from sesr_jax.train.stages import plan

_EXPERIMENTS = sorted((pathlib.Path(__file__).parents[1] / "experiments").glob("*.py"))
_experiments = pytest.mark.parametrize("path", _EXPERIMENTS, ids=lambda p: p.stem)


def _model_and_scale(stem: str) -> tuple[str, int]:
    """A file is named after its model, what is special in the recipe, if anything, and the scale."""
    name, scale = stem.rsplit("_x", 1)
    return max((m for m in VARIANTS if f"{name}_".startswith(f"{m}_")), key=len), int(scale)


def test_there_are_experiments():
    assert len(_EXPERIMENTS) >= 5


@_experiments
@pytest.mark.parametrize(
    "variant",
    [
        "paper",
        "cosine",
        "cpu+finish",
        "small+anneal+charbonnier+bf16",
        "qat",
        "cpu+qat",
        "qat+smoke",
    ],
)
def test_configs_are_valid_and_name_their_file(path, variant):
    config = read_config(f"{path}:{variant}")
    config.init = "expanded.safetensors"  # from which "qat" goes on
    validate(config)
    assert (config.model.name, config.model.scale) == _model_and_scale(path.stem)


def _channels(name: str) -> int:
    return getattr(VARIANTS[name].build(scale=VARIANTS[name].scales[0]), "channels", 1)


def test_the_comparison_of_mobile_networks_is_one_recipe():
    """Its configs differ in the model alone."""
    names = ["sesr_m5", *(name for name in VARIANTS if _channels(name) == 3)]
    recipes = set()
    for variant in [*names, *(f"abpn.{residual}" for residual in RESIDUALS)]:
        content = read_config(f"{_EXPERIMENTS[0].parent / 'mobile_ai' / 'equal.py'}:{variant}")
        validate(content)
        config = content.to_dict()
        model = config.pop("model")
        made = create(model["name"], scale=model["scale"], **model["options"])
        assert (made.scale, made.channels) == (3, 3)
        assert variant in (model["name"], f"{model['name']}.{getattr(made, 'residual', '')}")
        recipes.add(str(config))
    assert len(recipes) == 1


@_experiments
def test_docstrings_give_the_command(path):
    text = ast.get_docstring(ast.parse(path.read_text("utf-8")))
    assert re.search(rf"sesr train --config experiments/{path.name} --workdir", text)


@pytest.mark.parametrize(
    ("ingredient", "keys"),
    [
        ("adam", {"optim.name"}),
        ("anneal", {"optim.schedule"}),
        ("cosine", {"optim.schedule", "ema"}),
        ("charbonnier", {"loss"}),
        ("bf16", {"dtype"}),
        ("distill", {"distill.weight"}),
        ("finish", {"stages"}),
    ],
)
def test_an_ingredient_changes_what_it_is_named_after_and_nothing_else(ingredient, keys):
    def made(variant):
        return train.variant(train.base(), variant).to_dict()

    assert _differing(made("small"), made(f"small+{ingredient}")) == keys


@pytest.mark.parametrize(
    "parts", ["cpu+qat", "cpu+finish", "smoke+finish", "small+anneal+finish+qat"]
)
def test_variants_do_not_depend_on_their_order(parts):
    orders = itertools.permutations(parts.split("+"))
    first, *others = (train.variant(train.base(), "+".join(order)).to_dict() for order in orders)
    assert all(other == first for other in others)
    made = train.variant(train.base(), parts)
    made.init = "expanded.safetensors"
    validate(made)


def test_qat_goes_on_with_a_recipe_s_own_part_and_what_follows_it():
    config = read_config(f"{_EXPERIMENTS[0].parent / 'abpn_x3.py'}:finish+qat")
    assert [(stage.entry, stage.get("loss")) for stage in config.stages] == [
        ("quantise", None),
        ("none", "l2"),
    ]


@_experiments
def test_finish_is_a_whole_number_of_calls(path):
    config = read_config(f"{path}:finish")
    config.init = "expanded.safetensors"
    validate(config)


def test_quantising_from_the_first_step_on_needs_weights():
    with pytest.raises(InputError, match=r"config\.init is empty where the first stage quantises"):
        validate(train.variant(train.base(), "qat"))


def test_cpu_is_adam_and_cosine_on_small_crops():
    cpu, parts = (train.variant(train.base(), v).to_dict() for v in ("cpu", "small+adam+cosine"))
    assert not _differing(cpu, parts)


def _differing(a, b, path=""):
    """The paths of the values that differ between two trees of dicts."""
    if not isinstance(a, dict):
        return {path} if a != b else set()
    assert a.keys() == b.keys()
    return {name for key in a for name in _differing(a[key], b[key], f"{path}.{key}".lstrip("."))}


def test_the_commands_that_compare_recipes_are_valid_and_as_long_as_each_other():
    """In pixels."""
    text = (_EXPERIMENTS[0].parent / "recipes" / "README.md").read_text("utf-8")
    block = re.search(r"```sh\n(.*?)```", text, re.DOTALL)[1].replace("\\\n", " ")
    *commands, last = map(shlex.split, block.splitlines())
    runs, lengths = [], set()
    for command in commands:
        assert command[:3] == ["sesr", "train", "--config"]
        overrides, (flag, run) = command[4:-2], command[-2:]
        assert flag == "--workdir"
        config = read_config(str(_EXPERIMENTS[0].parents[1] / command[3]), overrides)
        validate(config)
        stages = [stage.config for stage in plan(config)]
        lengths.add(sum(s.steps * s.data.batch * s.data.patch**2 for s in stages))
        runs.append(run)
        if config.distill.weight:
            assert (_EXPERIMENTS[0].parents[1] / config.distill.teacher).is_file()
    assert len(lengths) == 1
    assert last[:2] == ["sesr", "eval"]
    assert last[3::2][: len(runs)] == runs
    assert len(set(runs)) == len(runs) == text.count("sesr train --config")


@pytest.mark.parametrize("stem", ["sesr_m5_hw_x2", "fsrcnn_x2", "xlsr_x3"])
def test_smoke_variants_train_through_the_command(stem, tmp_path, capsys):
    (path,) = [p for p in _EXPERIMENTS if p.stem == stem]
    assert main(["train", "--quiet", "--config", f"{path}:smoke", "--workdir", str(tmp_path)]) == 0
    assert str(tmp_path / train.WEIGHTS) in capsys.readouterr().out


@pytest.mark.parametrize("stem", ["sesr_m5_basis_x2"])
def test_smoke_variants_run_every_stage(stem, tmp_path):
    (path,) = [p for p in _EXPERIMENTS if p.stem == stem]
    assert main(["train", "--quiet", "--config", f"{path}:smoke", "--workdir", str(tmp_path)]) == 0
    lines = list(train.read_log(tmp_path))
    count = len(read_config(str(path)).stages)
    assert [line["stage"] for line in lines if "stage_psnr" in line] == list(range(count))
    assert (tmp_path / "stages.html").exists()
