"""The rules of the house: imports point one way, stay light, and every verb and experiment answers."""

import ast
import pathlib
import subprocess
import sys

import pytest

import sesr_jax

_PACKAGE = pathlib.Path(sesr_jax.__file__).parent
_ROOT = _PACKAGE.parent

# From the ground up; a floor imports only those before it.
_FLOORS = (
    ("errors",),
    ("schema", "untrusted"),
    ("files", "sandbox"),
    ("targets",),
    ("ops",),
    ("report",),
    ("reparam",),
    ("graph",),
    ("quant",),
    ("models",),
    ("importers",),
    ("data",),
    ("metrics",),
    ("challenges",),
    ("train",),
    ("pretrained",),
    ("export",),
    ("upscale",),
    ("web",),
    ("npu",),
    ("search",),
    ("recipes",),
    ("compare",),
    ("publish",),
    ("demo",),
    ("cli",),
)
_LEVEL = {name: level for level, names in enumerate(_FLOORS) for name in names}


def _modules() -> list[pathlib.Path]:
    return sorted(path for path in _PACKAGE.rglob("*.py") if path != _PACKAGE / "__init__.py")


def _imported(path: pathlib.Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module:
            if node.module == "sesr_jax":
                names |= {f"sesr_jax.{alias.name}" for alias in node.names}
            else:
                names.add(node.module)
        elif isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
    return {name.split(".")[1] for name in names if name.startswith("sesr_jax.")}


@pytest.mark.parametrize("path", _modules(), ids=lambda p: p.relative_to(_PACKAGE).as_posix())
def test_no_floor_imports_a_higher_one(path):
    floor = path.relative_to(_PACKAGE).parts[0].removesuffix(".py")
    higher = {name for name in _imported(path) if name in _LEVEL and _LEVEL[name] > _LEVEL[floor]}
    assert not higher


def test_the_list_of_floors_is_that_of_the_package_s_folders_and_modules():
    assert {path.relative_to(_PACKAGE).parts[0].removesuffix(".py") for path in _modules()} == set(
        _LEVEL
    )


def test_no_file_is_longer_than_400_lines():
    files = [*_modules(), *(_ROOT / "benchmarks").glob("*.py")]
    lengths = {path.name: len(path.read_text("utf-8").splitlines()) for path in files}
    assert not {name: lines for name, lines in lengths.items() if lines > 400}


_HEAVY = (
    "tensorflow",
    "torch",
    "ai_edge_litert",
    "skimage",
    "matplotlib",
    "tensorboardX",
    "ethosu",
    "onnx",
    "onnxruntime",
    "av",
    "pillow_heif",
    "ray",
)


def test_importing_everything_needs_the_core_alone():
    """The extras are hidden from a fresh interpreter, and every module still imports."""
    modules = [
        ".".join(["sesr_jax", *path.relative_to(_PACKAGE).with_suffix("").parts]).removesuffix(
            ".__init__"
        )
        for path in _modules()
    ]
    script = (
        "import sys, importlib\n"
        f"for name in {_HEAVY!r}: sys.modules[name] = None\n"
        f"for name in {modules!r}: importlib.import_module(name)\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True)


def test_importing_the_package_imports_none_of_its_rooms():
    script = (
        "import sys, sesr_jax\n"
        "print(*(name for name in sys.modules if name.startswith(('sesr_jax.', 'jax'))))\n"
    )
    ran = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True)
    assert not ran.stdout.strip()


def test_no_module_is_named_after_nothing():
    assert not [path for path in _modules() if path.stem in ("utils", "helpers", "common", "misc")]


def test_nothing_is_pickled():
    for path in _modules():
        text = path.read_text("utf-8")
        assert "import pickle" not in text
        assert "allow_pickle=True" not in text


def test_upscaling_a_photo_does_not_import_the_simulator(tmp_path):
    script = (
        "import sys\n"
        "from PIL import Image\n"
        "from sesr_jax.cli.main import main\n"
        "Image.new('L', (8, 8)).save('a.png')\n"
        "assert main(['upscale', 'a.png', 'b.png', '--model', 'bicubic_x2']) == 0\n"
        "assert Image.open('b.png').size == (16, 16)\n"
        "print(*(name for name in sys.modules if name.startswith(('sesr_jax.npu', 'sesr_jax.targets'))))\n"
    )
    ran = subprocess.run(
        [sys.executable, "-c", script], cwd=tmp_path, check=True, capture_output=True, text=True
    )
    assert not ran.stdout.splitlines()[-1]
