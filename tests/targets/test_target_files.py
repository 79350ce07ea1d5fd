import difflib
import pathlib
import subprocess
import sys
import types

import pytest

import sesr_jax.targets
from sesr_jax.errors import InputError
from sesr_jax.targets import OPERATORS, find_target, list_targets
from sesr_jax.targets.operations import ALIKE

FOLDER = pathlib.Path(sesr_jax.targets.__file__).parent


@pytest.mark.parametrize("tops", [1, 2, 4, 8])
def test_ethos_n78_has_the_peak_of_its_name(tops):
    assert find_target(f"ethos-n78-{tops}tops").tops == pytest.approx(tops, rel=0.03)


@pytest.mark.parametrize("name", list_targets())
def test_rules_are_for_operations_that_exist(name):
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
        ("pixels = [1, 1]", "pixels = [1]", "mac.pixels is [1], which is no list of 2."),
        (
            "pixels = [1, 1]",
            "pixels = [1, 1]\nwinograd = 3",
            "mac.winograd is 3; it must be a table",
        ),
        (
            "macs_per_cycle = 2048",
            "macs_per_cycle = 0",
            "mac.macs_per_cycle is 0; it must be above 0",
        ),
        ("inputs = 1", "inputs = 0", "mac.inputs is 0; it must be above 0"),
        ("pixels = [1, 1]", "pixels = [0, 1]", "mac.pixels is 0; it must be above 0"),
        ("pixels = [1, 1]", "pixels = [1, 1]\nefficiency = 0", "mac.efficiency is 0; it must be"),
        ("pixels = [1, 1]", "pixels = [1, 1]\nefficiency = 2.0", "above 0 and at most 1"),
        ("tap_groups = [0]", "tap_groups = []", "mac.tap_groups is []; it must be no empty list"),
        ("tap_groups = [0]", "tap_fill = [1]", "mac.tap_fill is [1]; it must be empty or two"),
        ("lanes = 1", "lanes = 0", "vector.lanes is 0; it must be above 0"),
        ("lanes = 1", "lanes = 1\ncalls = [1, 1]", "must fit the 1 of vector.blocks"),
        ("lanes = 1", "lanes = 1\ndefault_block = 1", "must fit the 1 of vector.blocks"),
        ("dram_bytes_per_cycle = 16", "dram_bytes_per_cycle = 0", "it must be above 0"),
        ("sram_bytes = 1_048_576", "sram_bytes = 0", "memory.sram_bytes is 0"),
        ("sram_bytes = 1_048_576", "sram_bytes = 9999\nborder = 0", "memory.border is 0"),
        ("tap_groups = [0]", "tap_groups = [0]\ntap_fill = [1, 1]", "mac.tap_groups has 0"),
        ("cascades = 1000", "cascades = 0", "stripes.cascades is 0"),
        ("cascades = 1000", "cascades = 1\nminimum_cycles = 1e308", "minimum_cycles is 1e+308"),
        ("base = [8, 8]", "base = [0, 8]", "stripes.base is 0"),
        ("clock_hz = 1e9", "clock_hz = 0", "clock_hz is 0; it must be above 0"),
        ("bits = 8", "bits = 4", "bits is 4; it must be one of 8, 16"),
        ("bits = 8", "bits = 8.0", "bits is 8.0; it must be one of 8, 16"),
        (
            'conv2d = { engine = "mac" }',
            'conv2d = { engine = "magic" }',
            "it must be one of 'mac',",
        ),
        ('conv2d = { engine = "mac" }', 'conv2dd = { engine = "mac" }', "did you mean 'conv2d'?"),
        ("conv2d = {", 'conv2d = { groups = "some",', "ops.conv2d.groups is 'some'"),
        ("conv2d = {", 'conv2d = { strided_by = "nope",', "ops.conv2d.strided_by is 'nope'"),
        ("conv2d = {", "conv2d = { channel_multiple = 0,", "ops.conv2d.channel_multiple is 0"),
        ("conv2d = {", 'depth_to_space = { engine = "mac", scales = [1] }\nconv2d = {', "above 1"),
        (
            'reshape = { engine = "none" }',
            'add = { engine = "mac" }',
            "ops.add.engine is 'mac', which",
        ),
        ('"*" = { engine = "vector"', '"*" = { engine = "mac"', "ops.*.engine is 'mac', which"),
        (
            'mac = "assumed: 4 TOPS"',
            'mac = "x"\n"mac.macs" = "x"',
            "[sources] has 'mac.macs', which",
        ),
        ('memory = "assumed: 1 MB, 16 GB/s"\n', "", "[sources] does not say where memory"),
        ('mac = "assumed: 4 TOPS"\n', "", "[sources] does not say where mac"),
        ("title = ", "title = = ", "changed.toml, which should be a target file"),
        ("bits = 8", 'like = "abacus"\nbits = 8', "like is 'abacus'"),
    ],
)
def test_a_wrong_file_is_refused_in_one_sentence(tmp_path, old, new, said):
    with pytest.raises(InputError) as refused:
        find_target(_changed(tmp_path, old, new))
    assert said in str(refused.value)
    assert "\n" not in str(refused.value)


def test_what_a_file_changes_has_a_source_of_its_own(tmp_path):
    file = tmp_path / "mine.toml"
    text = 'like = "ethos-u65-512"\ntitle = "mine"\n[mac]\nmacs_per_cycle = 1024\n'
    file.write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match=r"\[sources\] does not say where mac\.macs_per_cycle"):
        find_target(file)
    file.write_text(f'{text}[sources]\nmac = "assumed"\n', encoding="utf-8")
    assert find_target(file).mac.macs_per_cycle == 1024


def test_a_file_may_be_named_as_one_that_ships(tmp_path):
    file = tmp_path / "ethos-u65-512.toml"
    file.write_text('like = "ethos-u65-256"\ntitle = "mine"\n', encoding="utf-8")
    assert find_target(file).mac == find_target("ethos-u65-256").mac


def test_an_operator_of_others_may_have_a_rule(tmp_path):
    for name in ("elu", "softmax", "my_operator", "max_pool_3x3"):
        rule = f'{name} = {{ engine = "vector" }}\nconv2d = '
        assert name in find_target(_changed(tmp_path, "conv2d = ", rule)).ops


def test_what_is_no_target_is_refused(tmp_path):
    with pytest.raises(InputError, match="ethos-n78-4tops"):
        find_target("ethos-n79")
    with pytest.raises(InputError, match=r"none\.toml"):
        find_target(tmp_path / "none.toml")


def test_operators_with_similar_names_are_no_misspellings():
    flatbuffer = pytest.importorskip("sesr_jax.export.flatbuffer")
    known = set(OPERATORS.values())
    builtin = set(flatbuffer.read_enum("BuiltinOperator").values()) - OPERATORS.keys()
    similar = {
        name.lower()
        for name in builtin
        if difflib.get_close_matches(name.lower(), known, n=1, cutoff=0.8)
    }
    assert similar == ALIKE


def test_a_target_is_read_without_the_simulator_and_without_a_reader_of_tflite():
    script = (
        "import sys\n"
        "from sesr_jax.targets import find_target, list_targets\n"
        "for name in list_targets(): find_target(name)\n"
        "print(*sorted(name for name in sys.modules if name.startswith('sesr_jax.')))\n"
        "print(*({'jax', 'flatbuffers', 'ai_edge_litert'} & sys.modules.keys()))\n"
    )
    ran = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True)
    own, others = ran.stdout.splitlines()
    assert {name.split(".")[1] for name in own.split()} == {
        "errors",
        "schema",
        "targets",
        "untrusted",
    }
    assert not others
