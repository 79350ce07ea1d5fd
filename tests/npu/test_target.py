import pathlib
import types

import pytest

from sesr_jax.errors import InputError
from sesr_jax.npu import OPERATORS, estimate, find_target, layers_from_graph, target_names
from sesr_jax.npu import target as module

FOLDER = pathlib.Path(module.__file__).parent / "targets"


@pytest.mark.parametrize("name", target_names())
def test_every_target_that_ships_estimates_a_network(name, sesr):
    target = find_target(name)
    assert (target.name, bool(target.title)) == (name, True)
    report = estimate(layers_from_graph(sesr(2, 2, 32, 32)), target)
    assert report.seconds > 0
    assert report.peak_sram_bytes <= target.memory.sram_bytes


@pytest.mark.parametrize("tops", [1, 2, 4, 8])
def test_ethos_n78_has_the_peak_of_its_name(tops):
    assert find_target(f"ethos-n78-{tops}tops").tops == pytest.approx(tops, rel=0.03)


@pytest.mark.parametrize("name", target_names())
def test_rules_are_for_operations_that_exist(name, sesr):
    # The pass that reorders a strided convolution's input is no operation of a network.
    windowed = {rule.rsplit("_", 1)[0] for rule in find_target(name).ops if rule[-1].isdigit()}
    rules = {rule for rule in find_target(name).ops if not rule[-1].isdigit()} | windowed
    assert rules <= {*OPERATORS.values(), "interleave", "*"}


@pytest.mark.parametrize(
    "name", ["ethos-u55-128", "ethos-u55-256", "ethos-u65-256", "ethos-u65-512"]
)
def test_the_vector_costs_of_ethos_u_are_velas(name):
    vela = pytest.importorskip("ethosu.vela.architecture_features")
    table = types.SimpleNamespace()
    accelerator = next(one for one in vela.Accelerator if one.value == name)
    vela.ArchitectureFeatures._generate_output_perf_tables(table, accelerator)
    *_, mul, _, add, max_pool, rest = table.output_cycles_per_elem
    look_up, relu, _ = table.activation_cycles_per_elem
    look_up = max(look_up, rest)
    want = {"add": add, "mul": mul, "max_pool": max_pool, "prelu": 2 * mul + rest}
    want |= dict.fromkeys(("relu", "clip"), max(relu, rest))
    want |= dict.fromkeys(("leaky_relu", "sigmoid", "tanh"), look_up)
    target = find_target(name)
    found = {
        op: rule.cycles / target.vector.lanes for op, rule in target.ops.items() if rule.cycles
    }
    assert found == dict.fromkeys(found, rest) | want
    assert target.vector.pass_cycles / target.vector.lanes == rest


def test_a_new_target_is_one_file(tmp_path, sesr):
    file = tmp_path / "next_chip.toml"
    file.write_text(
        'like = "ethos-n78-4tops"\ntitle = "next"\nclock_hz = 2e9\n[sources]\nclock_hz = "assumed"\n'
    )
    fast, slow = find_target(file), find_target("ethos-n78-4tops")
    layers = layers_from_graph(sesr(2, 2, 32, 32))
    assert fast.name == "next_chip"
    assert estimate(layers, slow).seconds == 2 * estimate(layers, fast).seconds


def _changed(tmp_path, old: str, new: str) -> pathlib.Path:
    text = (FOLDER / "roofline.toml").read_text("utf-8")
    assert old in text
    file = tmp_path / "changed.toml"
    file.write_text(text.replace(old, new), encoding="utf-8")
    return file


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("sram_bytes = 1_048_576\n", "", "memory.sram_bytes is missing"),
        ("bits = 8\n", "", "bits is missing"),
        ("lanes = 1\n", "lanes = 1\nlains = 2\n", "vector.lains is no figure"),
        ("macs_per_cycle = 2048", "macs_per_cycle = -1", "mac.macs_per_cycle is -1"),
        ("macs_per_cycle = 2048", "macs_per_cycle = true", "mac.macs_per_cycle is True"),
        ("pixels = [1, 1]", "pixels = [1]", "mac.pixels"),
        ("pixels = [1, 1]", "pixels = [1, 1]\nwinograd = 3", "mac.winograd must be a table"),
        ('memory = "assumed: 1 MB, 16 GB/s"\n', "", "[sources] says nothing of memory"),
        ('mac = "assumed: 4 TOPS"\n', "", "[sources] says nothing of mac"),
        ("title = ", "title = = ", "no target file"),
        ("bits = 8", 'like = "abacus"\nbits = 8', "like is 'abacus'"),
    ],
)
def test_a_wrong_file_is_refused_in_one_sentence(tmp_path, old, new, said):
    with pytest.raises(InputError) as refused:
        find_target(_changed(tmp_path, old, new))
    assert said in str(refused.value)
    assert "\n" not in str(refused.value)


def test_what_is_no_target_is_refused(tmp_path):
    with pytest.raises(InputError, match="ethos-n78-4tops"):
        find_target("ethos-n79")
    with pytest.raises(InputError, match=r"none\.toml"):
        find_target(tmp_path / "none.toml")
