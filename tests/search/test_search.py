"""A search from end to end: it goes on where it ended, keeps what failed, and refuses what makes no sense."""

import json
import shutil

import pytest
from small_search import make_config, read_search, write_images

from sesr_jax.cli.main import main
from sesr_jax.errors import InputError
from sesr_jax.models import network
from sesr_jax.recipes import SEARCHES, read_config
from sesr_jax.search import PAGE, search
from sesr_jax.search.config import validate_search
from sesr_jax.search.long import correlate
from sesr_jax.train import train


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    return write_images(tmp_path_factory.mktemp("images"))


@pytest.fixture(scope="module")
def done(images, tmp_path_factory):
    """A search with halving and a long training, that nobody disturbed."""
    folder = tmp_path_factory.mktemp("search")
    config = make_config(images, halvings=1, inherit=True)
    config.search.long.update(steps=4, best=1, correlate=2)
    return config, folder, search(config, folder, progress=False)


def test_a_search_finds_trains_and_tells(done, capsys):
    _, folder, found = done
    assert len(found.individuals) == 8
    assert all(result.measures.params <= 300 for result in found.results.values())
    steps = {result.steps for result in found.results.values()}
    assert steps == {2, 4}  # half of a generation goes on
    psnr = [found.get_result(one).psnr for one in found.elite]
    assert psnr == sorted(psnr, reverse=True)
    best = found.designs[found.elite[0].number]
    trained = network.load(folder / "trained" / best.key / "model.safetensors")
    assert trained.options == dict(best.options)
    assert len(found.long) == 2
    assert f"#{found.elite[0].number}" in (folder / PAGE).read_text()
    assert "Kendall" in found.to_text()


def test_a_search_that_was_killed_ends_with_the_same_population(done, tmp_path):
    """As when it died in its second generation, after one more candidate, and before the page."""
    config, folder, found = done
    other = tmp_path / "killed"
    shutil.copytree(folder, other)
    newest = [found.designs[one.number].key for one in found.individuals[4:]]
    before = {found.designs[one.number].key for one in found.individuals[:4]}
    for key in newest:
        if key not in before:
            shutil.rmtree(other / "candidates" / key, ignore_errors=True)
    shutil.rmtree(other / "trained")
    population = json.loads((other / "population.json").read_text())
    population["individuals"] = population["individuals"][:4]
    (other / "population.json").write_text(json.dumps(population))
    config.search.long.steps = 0
    again = search(config, other, progress=False)
    config.search.long.steps = 4
    assert again.individuals == found.individuals
    assert again.elite == found.elite
    assert read_search(other)[1] == read_search(folder)[1]
    changed = config.copy_and_resolve_references()
    changed.optim.lr = 1.0
    with pytest.raises(InputError, match="lr"):
        search(changed, other, progress=False)


def test_what_diverges_is_scored_and_the_search_goes_on(images, tmp_path, capsys):
    config = make_config(images, num_individual=1, num_generation=1, num_elitism=1)
    config.optim.lr = 1e30
    found = search(config, tmp_path, progress=False)
    assert all(result.failure and result.psnr == 0 for result in found.results.values())
    assert "failed" in capsys.readouterr().out
    config.search.num_generation = 2
    with pytest.raises(InputError, match="lr"):
        search(config, tmp_path, progress=False)


@pytest.mark.parametrize(
    "settings",
    [
        {"space": "esnr"},
        {"space_options": {"width": (4,)}},
        {"space_options": {"widths": ("a",)}},
        {"space_options": {"depth": 1, "min_depth": 2}},
        {"min_params": 10.0, "max_params": 5.0},
        {"min_params": 1e6, "max_params": 2e6, "tries": 9},
        {"max_milliseconds": 1.0},
        {"target": "ethos-n79"},
        {"num_individual": 1},  # below the elite
        {"num_elitism": 0},
        {"mutation_rate": 0.0},
        {"objectives": ("params",)},
        {"objectives": ("psnr", "beauty")},
        {"selection": "fair"},
        {"workers": -1},
        {"workers": 2, "ray": "auto"},
        {"ray": "6379"},
        {"ray": "127.0.0.1:65536"},
        {"ray": "ray://127.0.0.1:10001"},
        {"frame": "big"},
        {"saving": 1.0},
        {"halvings": 2},
        {"start": ("1.0 1.0",)},
        {"start": ("1.0.0 1.0.0 1.0.0.0.0.0.0",) * 5},
    ],
    ids=str,
)
def test_bad_settings_are_refused_before_anything_is_trained(images, tmp_path, settings):
    config = make_config(images)
    config.search.update(settings)
    with pytest.raises(InputError):
        search(config, tmp_path / "search", progress=False)
    assert not (tmp_path / "search" / "candidates").exists()


def test_a_target_that_refuses_every_genome_is_named_with_the_operator(images, tmp_path):
    config = make_config(images, space="esrn", target="ethos-n78-4tops", max_params=0.0)
    config.search.space_options = {
        "node_num": 1,
        "min_active": 1,
        "block_type": ("G",),
        "type_prob": (1.0,),
        "conv_num": (2,),
        "conv_prob": (1.0,),
    }
    with pytest.raises(InputError, match="conv2d: 2 groups"):
        search(config, tmp_path, progress=False)


@pytest.mark.parametrize("variant", ["paper", "cpu", "smoke"])
@pytest.mark.parametrize("name", SEARCHES)
def test_the_recipes_are_valid(name, variant):
    config = read_config(f"{name}:{variant}")
    validate_search(config)
    with pytest.raises(InputError, match="sesr search"):
        train(config, "nowhere")
    assert main(["search", "--config", "sesr_m5_x2:smoke", "--workdir", "nowhere"]) == 2


def test_the_correlation_is_kendall_s():
    assert correlate([1, 2, 3, 4], [1, 2, 4, 3]) == pytest.approx(4 / 6)
