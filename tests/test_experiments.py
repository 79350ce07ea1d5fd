"""Every experiment runs, in its smoke variant, through the real command."""

import ast
import pathlib
import re

import pytest

from sesr_jax import train
from sesr_jax.cli.main import main
from sesr_jax.cli.train import read_config
from sesr_jax.models import VARIANTS, create
from sesr_jax.models.abpn import RESIDUALS
from sesr_jax.train.config import validate

_EXPERIMENTS = sorted((pathlib.Path(__file__).parents[1] / "experiments").glob("*.py"))
_MOBILE_AI = pathlib.Path(__file__).parents[1] / "experiments" / "mobile_ai"
_experiments = pytest.mark.parametrize("path", _EXPERIMENTS, ids=lambda p: p.stem)


def _model_and_scale(stem: str) -> tuple[str, int]:
    """A file is named after its model, what is special in the recipe, if anything, and the scale."""
    name, scale = stem.rsplit("_x", 1)
    return max((m for m in VARIANTS if f"{name}_".startswith(f"{m}_")), key=len), int(scale)


def test_there_are_experiments():
    assert len(_EXPERIMENTS) >= 5


@_experiments
@pytest.mark.parametrize(
    "variant", ["paper", "cosine", "cpu+finish", "qat", "cpu+qat", "qat+smoke"]
)
def test_configs_are_valid_and_name_their_file(path, variant):
    config = read_config(f"{path}:{variant}")
    validate(config)
    assert (config.model.name, config.model.scale) == _model_and_scale(path.stem)


def _channels(name: str) -> int:
    return getattr(VARIANTS[name].build(scale=VARIANTS[name].scales[0]), "channels", 1)


@pytest.mark.parametrize(
    ("stem", "options"),
    [("equal", [name for name in VARIANTS if _channels(name) == 3]), ("residuals", RESIDUALS)],
)
def test_comparisons_of_mobile_networks_are_valid(stem, options):
    """One recipe: their configs differ in the model alone."""
    recipes = set()
    for option in options:
        content = read_config(f"{_MOBILE_AI / stem}.py:{option}")
        validate(content)
        config = content.to_dict()
        model = config.pop("model")
        assert option in (model["name"], *model["options"].values())
        create(model["name"], scale=model["scale"], **model["options"])
        recipes.add(str(config))
    assert len(recipes) == 1


@_experiments
def test_docstrings_give_the_command(path):
    text = ast.get_docstring(ast.parse(path.read_text("utf-8")))
    assert re.search(rf"sesr train --config experiments/{path.name} --workdir", text)


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
