"""Every notebook runs from its first to its last code cell, and is kept without outputs."""

import json
import os
import pathlib
import re
import runpy
import shutil
import subprocess
import sys

import pytest

_ROOT = pathlib.Path(__file__).parents[1]
_UPDATE = runpy.run_path(str(_ROOT / "docs" / "update_address.py"))
_COLABS = sorted((_ROOT / "colabs").glob("*.ipynb"))
_colabs = pytest.mark.parametrize("path", _COLABS, ids=lambda p: p.stem)

# What the cell tagged "parameters" is overruled by.
_SMOKE = {
    "int8": {"side": 32, "observers": ("min_max",), "layers": 1},
    "npu_latency": {"frame": (90, 160), "models": ("sesr_m3_hw", "sesr_m5_hw")},
    "reparam_algebra": {"steps": 2, "seeds": 1, "forms": ("dense",)},
    "upscale_photos": {"steps": 10},
}


def _code(path: pathlib.Path) -> list[dict]:
    notebook = json.loads(path.read_text("utf-8"))
    assert (notebook["nbformat"], notebook["nbformat_minor"]) >= (4, 5)
    return [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]


def test_every_notebook_has_a_smoke_mode():
    assert {path.stem for path in _COLABS} == set(_SMOKE)


@_colabs
def test_notebooks_are_kept_without_outputs(path):
    for cell in _code(path):
        assert cell["outputs"] == []
        assert cell["execution_count"] is None


@_colabs
def test_notebooks_run(path, monkeypatch):
    import matplotlib as mpl

    monkeypatch.setattr("matplotlib.pyplot.show", lambda: None)
    backend = mpl.get_backend()
    mpl.use("Agg")
    names: dict = {"__name__": "__main__"}
    overruled = False
    for i, cell in enumerate(_code(path)):
        exec(compile("".join(cell["source"]), f"{path.name}[{i}]", "exec"), names)
        if "parameters" in cell["metadata"].get("tags", ()):
            assert set(_SMOKE[path.stem]) <= set(names), "the tests overrule what the cell sets"
            names.update(_SMOKE[path.stem])
            overruled = True
    assert overruled
    mpl.use(backend)


def test_notebooks_and_readme_have_the_address_of_the_repository():
    for path, text in _UPDATE["make_pages"](_ROOT).items():
        assert path.read_text("utf-8") == text


@pytest.fixture
def copy_with(tmp_path):
    """Copies what holds the address, and writes another one into it by the command."""

    def copy(address):
        for name in ("colabs", "docs/update_address.py", "README.md", "pyproject.toml", "setup.py"):
            source, target = _ROOT / name, tmp_path / name
            target.parent.mkdir(exist_ok=True)
            if source.is_dir():
                shutil.copytree(source, target, dirs_exist_ok=True)
            else:
                shutil.copyfile(source, target)
        settings = tmp_path / "pyproject.toml"
        changed, count = re.subn(
            '^repository = ".*"$',
            f'repository = "{address}"',
            settings.read_text("utf-8"),
            flags=re.M,
        )
        assert count == 1
        settings.write_text(changed, encoding="utf-8")
        ran = subprocess.run(
            [sys.executable, str(tmp_path / "docs" / "update_address.py")],
            env={**os.environ, "PYTHONPATH": str(_ROOT)},
            capture_output=True,
            text=True,
        )
        return tmp_path, ran

    return copy


def _run_install_cell(path, monkeypatch, folder):
    """What the install cell of a notebook in `folder` tells pip, where the package is missing."""
    commands = []
    with monkeypatch.context() as patch:
        patch.chdir(folder)
        patch.setattr("importlib.util.find_spec", lambda name: None)
        patch.setattr("subprocess.run", lambda command, check: commands.append(command))
        install = next(cell for cell in _code(path) if "REPOSITORY" in "".join(cell["source"]))
        exec("".join(install["source"]), {})
    ((*_, what),) = commands
    return what


@pytest.mark.parametrize("host", ["github.com", "example.org"])
def test_one_line_gives_every_notebook_its_address_and_its_badge(copy_with, monkeypatch, host):
    folder, ran = copy_with(f"https://{host}/someone/something")
    assert ran.returncode == 0, ran.stderr
    alone = folder / "elsewhere" / "alone"
    alone.mkdir(parents=True)
    readme = (folder / "README.md").read_text("utf-8")
    for path in sorted((folder / "colabs").glob("*.ipynb")):
        what = _run_install_cell(path, monkeypatch, alone)
        assert re.fullmatch(rf"sesr_jax\[[a-z,]+\] @ git\+https://{host}/someone/something", what)
        assert _run_install_cell(path, monkeypatch, folder / "colabs").endswith(folder.as_uri())
        opened = "https://colab.research.google.com/github/someone/something/blob/main"
        badge = f"]({opened}/colabs/{path.name})"
        first = json.loads(path.read_text("utf-8"))["cells"][0]
        assert ("".join(first["source"]).endswith(badge)) == (host == "github.com")
        assert readme.count(badge) == (host == "github.com")
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    subprocess.run(
        [sys.executable, str(folder / "docs" / "update_address.py")],
        env={**os.environ, "PYTHONPATH": str(_ROOT)},
        check=True,
    )
    assert {path: path.read_bytes() for path in before} == before


def test_without_an_address_there_is_no_badge_and_notebooks_ask(copy_with, monkeypatch):
    assert copy_with("https://github.com/someone/something")[1].returncode == 0
    folder, ran = copy_with("")
    assert ran.returncode == 0
    assert "colab.research.google.com" not in (folder / "README.md").read_text("utf-8")
    alone = folder / "elsewhere" / "alone"
    alone.mkdir(parents=True)
    for path in (folder / "colabs").glob("*.ipynb"):
        assert "colab.research.google.com" not in path.read_text("utf-8")
        with pytest.raises(AssertionError, match="REPOSITORY says where the package is"):
            _run_install_cell(path, monkeypatch, alone)


@pytest.mark.parametrize("address", ["github.com/someone/something", 'https://x/y/z" or "', "here"])
def test_what_is_no_address_is_refused(copy_with, address):
    folder, ran = copy_with(address.replace('"', "'"))
    assert ran.returncode != 0
    assert ran.stderr.startswith("repository in pyproject.toml")
    assert (folder / "README.md").read_bytes() == (_ROOT / "README.md").read_bytes()
