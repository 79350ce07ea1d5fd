"""Every notebook runs from its first to its last code cell, and is kept without outputs."""

import json
import pathlib

import pytest

_COLABS = sorted((pathlib.Path(__file__).parents[1] / "colabs").glob("*.ipynb"))
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


@_colabs
def test_a_notebook_on_its_own_asks_where_the_package_is(path, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    install = next(cell for cell in _code(path) if "REPOSITORY" in "".join(cell["source"]))
    with pytest.raises(AssertionError, match="REPOSITORY says where the package is"):
        exec("".join(install["source"]), {})
