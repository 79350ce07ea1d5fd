"""Every recipe is valid in all its variants, and some run, in the smoke variant, through the real command."""

import itertools
import pathlib
import re
from typing import Any

import pytest

from benchmarks.recipes import ROWS, read_row
from sesr_jax import train
from sesr_jax.cli.main import main
from sesr_jax.errors import InputError
from sesr_jax.models import VARIANTS, create
from sesr_jax.models.mobile_ai.abpn import RESIDUALS
from sesr_jax.recipes import COMPARISONS, FAMILIES, RECIPES, SEARCHES, read_config
from sesr_jax.recipes.comparisons import FOUND
from sesr_jax.train.stages import plan
from sesr_jax.train.validation import validate

_ROOT = pathlib.Path(__file__).parents[2]
_recipes = pytest.mark.parametrize("name", RECIPES)


def _model_and_scale(recipe: str) -> tuple[str, int]:
    """A recipe is named after its model, what is special in it, if anything, and the scale.

    Real-ESRGAN is the name of a way of training, and its own model is RRDBNet.
    """
    name, scale = re.sub(r"^realesr(net|gan)", "rrdbnet", recipe).rsplit("_x", 1)
    return max((m for m in VARIANTS if f"{name}_".startswith(f"{m}_")), key=len), int(scale)


@_recipes
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
def test_configs_are_valid_and_of_the_model_that_they_are_named_after(name, variant):
    config = read_config(f"{name}:{variant}")
    config.init = "expanded.safetensors"  # from which "qat" goes on
    validate(config)
    assert (config.model.name, config.model.scale) == _model_and_scale(name)


def _channels(name: str) -> int:
    return VARIANTS[name].build(scale=VARIANTS[name].scales[0]).channels


def _split(spec: str) -> tuple[str, Any, str]:
    """Returns the model's name and module, and all else of a valid config as text."""
    content = read_config(spec)
    validate(content)
    config = content.to_dict()
    model = config.pop("model")
    return (
        model["name"],
        create(model["name"], scale=model["scale"], **model["options"]),
        str(config),
    )


def test_the_comparison_of_mobile_networks_is_one_recipe():
    """Its configs differ in the model alone."""
    mobile = (name for name, variant in VARIANTS.items() if variant.scales == (3,))
    names = ["sesr_m5", *mobile]
    recipes = set()
    for variant in [*names, *(f"abpn.{residual}" for residual in RESIDUALS)]:
        model, made, rest = _split(f"mobile_ai_equal:{variant}")
        assert (made.scale, made.channels) == (3, 3)
        assert variant in (model, f"{model}.{getattr(made, 'residual', '')}")
        recipes.add(rest)
    assert len(recipes) == 1
    with pytest.raises(InputError, match="mobile_ai_equal:xlsr"):
        read_config("mobile_ai_equal")


def test_the_comparison_of_what_searches_found_is_one_recipe():
    """Its configs differ in the model alone."""
    recipes = set()
    for name in ("sesr_m5_hw", *FOUND):
        _, made, rest = _split(f"search_equal:{name}")
        assert (made.scale, made.channels) == (2, 1)
        recipes.add(rest)
    assert len(recipes) == 1
    with pytest.raises(InputError, match="search_equal:faster"):
        read_config("search_equal")


def test_names_are_of_one_recipe_each_and_all_are_described():
    assert len(RECIPES) == sum(len(family.RECIPES) for family in FAMILIES)
    assert not RECIPES.keys() & COMPARISONS.keys()
    for recipe in (*RECIPES.values(), *COMPARISONS.values(), *SEARCHES.values()):
        assert recipe.title.endswith("."), recipe
    assert len({recipe.title for recipe in RECIPES.values()}) == len(RECIPES)


def test_the_command_lists_recipes_and_tells_one(capsys):
    assert main(["recipes"]) == 0
    listed = [line.split()[0] for line in capsys.readouterr().out.splitlines()[2:]]
    assert listed == [*RECIPES, *COMPARISONS, *SEARCHES]
    assert main(["recipes", "sesr_m5_x2"]) == 0
    assert "32.84 dB on Set14" in capsys.readouterr().out
    assert main(["recipes", "sesr_m5_acnet_x2:cpu"]) == 0
    values = dict(
        line.split("=", 1) for line in capsys.readouterr().out.splitlines() if "--" in line
    )
    assert values["  --config.optim.lr"] == "0.001"
    assert values["  --config.stages[1].optim.lr"] == "1e-05"
    assert main(["recipes", "mobile_ai_equal"]) == 0
    assert main(["recipes", "sesr_m6_x2"]) == 2
    assert "sesr_m5_x2" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("former", "name"),
    [
        ("experiments/sesr_m5_x2.py:cpu", "sesr_m5_x2:cpu"),
        ("../a/experiments/xlsr_x3.py", "xlsr_x3"),
        ("experiments/ablations/forms.py:smoke", "forms:smoke"),
        ("experiments/mobile_ai/equal.py:abpn.none+qat", "mobile_ai_equal:abpn.none+qat"),
    ],
)
def test_the_paths_of_earlier_versions_name_their_recipes(former, name):
    assert read_config(former).to_dict() == read_config(name).to_dict()


@pytest.mark.parametrize(
    "wrong", ["sesr_m5_x2.py", "sesr_m6_x2", "experiments/sesr_m6_x2.py", "other/sesr_m5_x2.py", ""]
)
def test_what_is_neither_a_recipe_nor_a_file_is_refused(wrong):
    with pytest.raises(InputError, match=re.escape(wrong or "''")):
        read_config(wrong)


def test_a_file_holds_one_config_or_several_by_name(tmp_path):
    one, several = tmp_path / "one.py", tmp_path / "several.py"
    one.write_text(
        "from sesr_jax import train\n"
        "def get_config(variant='paper'): return train.apply_variant(train.base(), variant)\n"
    )
    several.write_text(
        "from sesr_jax.recipes.recipe import make_config, make_recipes\n"
        "def wide(): return make_config('sesr_m3', 4, features=24)\n"
        "def narrow(): return make_config('sesr_m3', 4, features=8)\n"
        "RECIPES = make_recipes(wide, narrow)\n"
    )
    assert (
        read_config(f"{one}:smoke").to_dict()
        == train.apply_variant(train.base(), "smoke").to_dict()
    )
    assert read_config(f"{several}:narrow").model.options.features == 8
    assert read_config(f"{several}:wide+smoke").steps == read_config(f"{one}:smoke").steps
    for wrong in (several, f"{several}:medium", f"{several}:cpu+wide"):
        with pytest.raises(InputError, match="wide, narrow"):
            read_config(str(wrong))


@pytest.mark.parametrize(
    ("ingredient", "keys"),
    [
        ("adam", {"optim.name"}),
        ("anneal", {"optim.schedule"}),
        ("cosine", {"optim.schedule", "ema"}),
        ("charbonnier", {"loss"}),
        ("bf16", {"dtype"}),
        ("maps", {"adversarial.weights.perceptual", "adversarial.weights.maps"}),
        ("distill", {"distill.weight"}),
        ("finish", {"stages"}),
    ],
)
def test_an_ingredient_changes_what_it_is_named_after_and_nothing_else(ingredient, keys):
    def made(variant):
        return train.apply_variant(train.base(), variant).to_dict()

    assert _differing(made("small"), made(f"small+{ingredient}")) == keys


@pytest.mark.parametrize(
    "parts", ["cpu+qat", "cpu+finish", "smoke+finish", "small+anneal+finish+qat"]
)
def test_variants_do_not_depend_on_their_order(parts):
    orders = itertools.permutations(parts.split("+"))
    first, *others = (
        train.apply_variant(train.base(), "+".join(order)).to_dict() for order in orders
    )
    assert all(other == first for other in others)
    made = train.apply_variant(train.base(), parts)
    made.init = "expanded.safetensors"
    validate(made)


def test_qat_goes_on_with_a_recipe_s_own_part_and_what_follows_it():
    config = read_config("abpn_x3:finish+qat")
    assert [(stage.entry, stage.get("loss")) for stage in config.stages] == [
        ("quantise", None),
        ("none", "l2"),
    ]


@_recipes
def test_finish_is_a_whole_number_of_calls(name):
    config = read_config(f"{name}:finish")
    config.init = "expanded.safetensors"
    validate(config)


def test_quantising_from_the_first_step_on_needs_weights():
    with pytest.raises(InputError, match=r"config\.init "):
        validate(train.apply_variant(train.base(), "qat"))


def test_cpu_is_adam_and_cosine_on_small_crops():
    cpu, parts = (
        train.apply_variant(train.base(), v).to_dict() for v in ("cpu", "small+adam+cosine")
    )
    assert not _differing(cpu, parts)


def _differing(a, b, path=""):
    """The paths of the values that differ between two trees of dicts."""
    if not isinstance(a, dict):
        return {path} if a != b else set()
    assert a.keys() == b.keys()
    return {name for key in a for name in _differing(a[key], b[key], f"{path}.{key}".lstrip("."))}


def test_the_trainings_that_compare_recipes_are_valid_and_as_long_as_each_other():
    """In pixels; and their page tells of all of them."""
    lengths = set()
    for name, row in ROWS.items():
        config = read_row(row)
        validate(config)
        stages = [stage.config for stage in plan(config)]
        lengths.add(sum(s.steps * s.data.batch * s.data.patch**2 for s in stages))
        assert row.against in ROWS or name == next(iter(ROWS))
        if config.distill.weight:
            assert (_ROOT / config.distill.teacher).is_file()
    assert len(lengths) == 1
    page = (_ROOT / "experiments" / "recipes" / "README.md").read_text("utf-8")
    told = [f"| {name} | {row.against or '–'} | {row.difference} |" for name, row in ROWS.items()]
    assert "\n".join(told) in page


def test_the_papers_amsgrad_is_that_of_keras():
    named = {name: RECIPES[name].get_config().optim.name for name in RECIPES}
    assert named["sesr_m5_x2"] == "keras_amsgrad"
    assert "amsgrad" not in named.values()


def _train(name, folder, *options):
    command = ["train", "--quiet", "--config", f"{name}:smoke", "--workdir", str(folder)]
    assert main([*command, *(f"--config.model.options.{option}" for option in options)]) == 0


@pytest.mark.parametrize(
    ("name", "option"),
    [("sesr_m5_hw_x2", "blocks=1"), ("xlsr_x3", "blocks=1"), ("realesrgan_x4", "blocks=1")],
)
def test_smoke_variants_train_through_the_command(name, option, tmp_path, capsys):
    _train(name, tmp_path, option)
    assert str(tmp_path / train.WEIGHTS) in capsys.readouterr().out


@pytest.mark.parametrize("name", ["sesr_m5_basis_x2"])
def test_smoke_variants_run_every_stage(name, tmp_path):
    _train(name, tmp_path, "blocks=1", "features=4")
    lines = list(train.read_log(tmp_path))
    count = len(read_config(name).stages)
    assert [line["stage"] for line in lines if "stage_psnr" in line] == list(range(count))
    assert (tmp_path / "stages.html").exists()
