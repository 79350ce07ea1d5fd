"""Every command and every Python example of README and of the guides runs, in a small form.

A ``sh`` block of a guide holds one command per line. A command of `sesr` runs with the arguments that
`_small` gives it: recipes in the variant "smoke" on a network of one block, exports of 32×24. The folder in
which it runs has what guides name: photos, folders of images, a video, a trained run. A command that runs
as it is written must also print each line of the ``text`` block behind it. A command of a program that
`_RUN` does not know fails: no guide shows what is untested. Blocks of ``python`` run, fragments are ``py``.
"""

import ast
import contextlib
import functools
import importlib.util
import io
import pathlib
import re
import shlex
import shutil

import numpy as np
import pytest
from official_weights import make_arrays
from PIL import Image
from safetensors.numpy import save_file
from torch_writer import write_zip

from sesr_jax.cli.main import main
from sesr_jax.data import open_embedded
from sesr_jax.recipes import read_config

_ROOT = pathlib.Path(__file__).parents[1]
_GUIDES = [_ROOT / "README.md", *sorted((_ROOT / "docs").glob("*.md"))]
_PAGES = [
    *_GUIDES,
    *(_ROOT / name for name in ("BUILD.md", "CONTRIBUTING.md")),
    *sorted((_ROOT / "experiments").rglob("*.md")),
]
_BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.M | re.S)

# A network of two layers beside its head, on crops of 8×8, measured on small images.
_TINY = [
    "--config.model.options.blocks=1",
    "--config.model.options.features=4",
    "--config.data.patch=8",
    "--config.data.batch=2",
    "--config.data.eval=Set5",
    "--config.data.degraded=False",  # which takes long to compile
]
# What a verb gets in the place of an option's value, and what it gets beside.
_VALUES: dict[str, dict[str, str]] = {
    "export": {"--size": "32x24", "--tile": "24x20", "--max-drop": "60"},
    "eval": {"--data": "Set5"},
    "score": {"--data": "Set5", "--model": "bicubic_x3"},
}
_MORE: dict[str, list[str]] = {
    "ablate": [*_TINY, "--config.seeds=1", "--config.conditions=('dense',)"],
    "export": ["--size", "32x24"],
    "publish": ["--name", "tiny"],
    "reparam": ["--batch", "1", "--crop", "8"],
    "search": [
        "--config.data.patch=8",
        "--config.data.batch=2",
        "--config.data.eval=Set5",
        "--config.search.num_individual=1",
        "--config.search.num_elitism=1",
        "--config.search.num_generation=1",
        "--config.search.long.steps=0",
        "--config.search.seeds=False",
        "--quiet",
    ],
    "train": [*_TINY, "--quiet"],
}
_LEFT_OUT = [
    f"--config.{key}"
    for key in (
        "steps",
        "data.train",
        "optim.lr",
        "conditions",
        "search.max_milliseconds",
        "search.ray",
    )
]
"""The keys of a config for which small forms have values of their own."""

_STAND_INS = {
    "import": {"sesr_m5": "sesr_m3", "model_weights.index": "model_weights.safetensors"},
    "reparam": {"sesr_m5": "sesr_m3"},
}
"""By verb: what stands for an argument. A checkpoint of TensorFlow would take TensorFlow to write."""

_ALONE = {"--distributed": 0, "--coordinator": 1, "--processes": 1, "--process": 1}
"""The options that join several processes, with the number of their values: a test trains in one."""


def _small(verb: str, given: list[str]) -> list[str]:
    """Returns the arguments with which `verb` takes seconds."""
    small: list[str] = []
    rest = iter(given)
    for argument in rest:
        name, equals, _ = argument.partition("=")
        if argument in _ALONE:
            for _ in range(_ALONE[argument]):
                next(rest)
        elif argument == "--config":
            recipe, _, variant = next(rest).partition(":")
            parts = {"qat", "distill"} & set(variant.split("+"))
            small += [argument, f"{recipe}:{'+'.join(sorted(parts | {'smoke'}))}"]
        elif name in _LEFT_OUT:
            pass
        elif argument in _STAND_INS.get(verb, {}):
            small.append(_STAND_INS[verb][argument])
        elif name in _VALUES.get(verb, {}):
            small += [f"{name}={_VALUES[verb][name]}"] if equals else [name, _VALUES[verb][name]]
            if not equals:
                next(rest)
        else:
            small.append(argument)
    more = list(_MORE.get(verb, ()))
    if verb == "export" and ("--size" in small or not re.search(r"tflite|phone", " ".join(small))):
        more = []
    return [*small, *more]


def _sesr(arguments: list[str]) -> tuple[str, bool]:
    """Runs a verb; returns what it printed, and whether that was the command as it is written."""
    verb, *given = arguments
    if verb == "compile":
        _prepare_compilation(given)
        return "", False
    small = _small(verb, given)
    return _print(pathlib.Path.cwd(), verb, *small), small == given


def _prepare_compilation(given: list[str]) -> None:
    """Runs `sesr compile` up to where it would start the compiler, which no extra brings."""
    if "--make-toolchain" in given:
        return
    small = [*given, "--size", "16x12", "--toolchain", "absent"]
    assert main(["compile", *small]) == 2
    assert pathlib.Path(given[given.index("--out") + 1], "compile.sh").is_file()


@functools.cache
def _print(_: pathlib.Path, *arguments: str) -> str:
    """Runs a command once in a folder, however many guides show it, and returns what it printed."""
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        assert main(arguments) == 0, f"sesr {shlex.join(arguments)}"
    return printed.getvalue()


def _make(arguments: list[str]) -> None:
    for target in arguments:
        assert re.search(rf"^{target}:", (_ROOT / "Makefile").read_text("utf-8"), re.M), target


def _pip(arguments: list[str]) -> None:
    extras = (_ROOT / "setup.py").read_text("utf-8")
    assert arguments[0] == "install"
    for extra in re.findall(r"^\.\[(.*)\]$", arguments[1], re.M):
        for name in extra.split(","):
            assert f'"{name}"' in extras, name


def _python(arguments: list[str]) -> None:
    """A script or a module that other tests run: it exists."""
    if arguments[0] == "-m":
        assert arguments[1] == "build" or importlib.util.find_spec(arguments[1]), arguments[1]
    else:
        assert (_ROOT / arguments[0]).is_file(), arguments[0]


def _ray(arguments: list[str]) -> None:
    """The cluster is started by other tests: Ray knows the options."""
    if importlib.util.find_spec("ray"):
        from ray.scripts.scripts import cli

        cli.commands[arguments[0]].make_context(arguments[0], arguments[1:])


def _adb(arguments: list[str]) -> None:
    """There is no phone: the file that would go there exists."""
    assert arguments[0] == "push"
    assert pathlib.Path(arguments[1]).is_file()


_RUN = {
    "sesr": _sesr,
    "srun": lambda arguments: _sesr(arguments[1:]),
    "make": _make,
    "pip": _pip,
    "python": _python,
    "ray": _ray,
    "cp": lambda arguments: shutil.copy(*arguments),
    "adb": _adb,
}
"""By program: what a test does in its place."""


def _commands(block: str) -> list[list[str]]:
    """Splits a ``sh`` block into the arguments of its commands, without comments."""
    lines = block.replace("\\\n", " ").splitlines()
    return [words for line in lines if (words := shlex.split(line, comments=True))]


@functools.cache
def _blocks(page: pathlib.Path) -> list[tuple[str, str]]:
    return _BLOCK.findall(page.read_text("utf-8"))


@pytest.fixture(scope="session")
def folder(tmp_path_factory) -> pathlib.Path:
    """A folder with everything that guides name."""
    here = tmp_path_factory.mktemp("guides")
    (here / "sesr_jax").symlink_to(_ROOT / "sesr_jax")
    photo = Image.fromarray(open_embedded("eval")[1].hr)
    photo.crop((100, 100, 148, 136)).save(here / "photo.jpg")
    for name in ("FOLDER", "Set5", "Set14", "General100", "DIV2K_valid_HR", "holidays"):
        (here / name).mkdir()
        for i in range(2):
            photo.crop((90 * i, 90, 90 * i + 72, 162)).save(here / name / f"{i}.png")
    _write_video(here / "clip.mp4")
    save_file(_arm_arrays(blocks=3, expansion=16), here / "model_weights.safetensors")
    write_zip(here / "RFDN_AIM.pth", make_arrays("rfdn"))
    journey = next(b for kind, b in _blocks(_ROOT / "README.md") if kind == "sh" and "qat" in b)
    with contextlib.chdir(here):
        for words in _commands(journey):
            _RUN[words[0]](words[1:])
    return here


def _write_video(path: pathlib.Path) -> None:
    import av

    with av.open(str(path), "w") as clip:
        stream = clip.add_stream("mpeg4", rate=10)
        stream.width, stream.height, stream.pix_fmt = 48, 32, "yuv420p"
        for level in (0, 120):
            frame = av.VideoFrame.from_ndarray(np.full((32, 48, 3), level, np.uint8), "rgb24")
            clip.mux(stream.encode(frame))
        clip.mux(stream.encode())


def _arm_arrays(blocks: int, expansion: int) -> dict[str, np.ndarray]:
    owners = {"input_block": (5, 1, 16), "output_block": (5, 16, 4)}
    owners |= {f"linear_blocks/{i}": (3, 16, 16) for i in range(blocks)}
    shapes = {f"activations/{i}/alpha": (1, 1, 16) for i in range(blocks)}
    for owner, (k, n, m) in owners.items():
        layer = f"{owner}/collapse/layer_with_weights-"
        shapes |= {f"{layer}0/kernel": (k, k, n, expansion), f"{layer}0/bias": (expansion,)}
        shapes |= {f"{layer}1/kernel": (1, 1, expansion, m), f"{layer}1/bias": (m,)}
    return {name: np.zeros(shape, np.float32) for name, shape in shapes.items()}


@pytest.mark.parametrize("page", _GUIDES, ids=lambda p: p.stem)
def test_commands_and_examples_run(page, folder, monkeypatch):
    monkeypatch.chdir(folder)
    names: dict = {"__name__": "guide"}
    printed, as_written = "", False
    for kind, block in _blocks(page):
        if kind == "sh":
            printed, as_written = "", True
            for words in _commands(block):
                assert words[0] in _RUN, (
                    f"{page.name} shows a command without a small form: {words}"
                )
                if words[:2] == ["sesr", "models"]:
                    as_written = False  # test_readme.py compares its table with what is shown
                    continue
                result = _RUN[words[0]](words[1:])
                output, same = result if isinstance(result, tuple) else ("", False)
                printed, as_written = printed + output, as_written and same
        elif kind == "text" and as_written:
            for line in block.splitlines():
                assert line in ("…", *printed.splitlines()), f"{page.name}: not printed: {line}"
        elif kind == "python":
            exec(compile(block, page.name, "exec"), names)


def test_pages_with_commands_of_recipes_name_valid_configs(monkeypatch):
    monkeypatch.chdir(_ROOT)
    seen = 0
    for page in _PAGES:
        for kind, block in _blocks(page):
            for words in _commands(block) if kind == "sh" else ():
                if words[:2] in (["sesr", "train"], ["sesr", "ablate"]):
                    values = [word for word in words if word.startswith("--config.")]
                    read_config(words[words.index("--config") + 1], values)
                    seen += 1
    assert seen > 10


@pytest.mark.parametrize("page", _PAGES, ids=lambda p: str(p.relative_to(_ROOT)))
def test_files_and_headings_that_are_linked_exist(page):
    for link in re.findall(r"\]\((?!https?:)([^)\s]+)\)", page.read_text("utf-8")):
        path, _, heading = link.partition("#")
        target = page.parent / path if path else page
        assert target.exists(), link
        if heading:
            titles = re.findall(r"^#+ (.*)$", target.read_text("utf-8"), re.M)
            anchors = {re.sub(r"[^\w\- ]", "", t.lower()).replace(" ", "-") for t in titles}
            assert heading in anchors, link


def test_the_index_names_every_guide():
    index = (_ROOT / "docs" / "README.md").read_text("utf-8")
    for guide in (_ROOT / "docs").glob("*.md"):
        assert guide.name == "README.md" or f"]({guide.name})" in index, guide.name


def test_the_design_lists_the_rooms_in_the_order_of_their_floors():
    tree = ast.parse((_ROOT / "tests" / "test_house.py").read_text("utf-8"))
    (floors,) = (
        ast.literal_eval(node.value)
        for node in tree.body
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "_FLOORS"
    )
    rows = re.findall(r"^\| (`[^|]*`) \|", (_ROOT / "docs" / "design.md").read_text("utf-8"), re.M)
    assert re.findall(r"`(\w+)`", "".join(rows)) == [name for floor in floors for name in floor]


def test_a_command_without_a_small_form_is_noticed():
    assert _commands("frobnicate --all  # surely\nsesr models \\\n  --scale 2\n") == [
        ["frobnicate", "--all"],
        ["sesr", "models", "--scale", "2"],
    ]
    assert "frobnicate" not in _RUN
