"""The wheel holds the package as git tracks it, every file and nothing else."""

import pathlib
import re
import shutil
import subprocess
import sys
import zipfile

import pytest

_ROOT = pathlib.Path(__file__).parents[1]


def _tracked(*paths: str) -> list[str]:
    listed = subprocess.run(
        ["git", "-C", str(_ROOT), "ls-files", "-z", "--", *paths], capture_output=True, text=True
    )
    if listed.returncode:
        pytest.skip("needs a git checkout")
    names = listed.stdout.split("\0")[:-1]
    return [name for name in names if (_ROOT / name).is_file()]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> zipfile.ZipFile:
    """Built without a network from a copy of the tracked files, so that no earlier build is in it."""
    copy, out = tmp_path_factory.mktemp("tree"), tmp_path_factory.mktemp("wheel")
    for name in _tracked("sesr_jax", "setup.py", "pyproject.toml", "README.md", "LICENSE"):
        (copy / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(_ROOT / name, copy / name)
    pip = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-index"]
    command = [*pip, "--no-build-isolation", "--wheel-dir", str(out), str(copy)]
    built = subprocess.run(command, capture_output=True, text=True)
    assert built.returncode == 0, built.stderr
    (path,) = out.glob("*.whl")
    return zipfile.ZipFile(path)


def test_the_wheel_holds_the_tracked_files_of_the_package(wheel):
    content = {name for name in wheel.namelist() if ".dist-info/" not in name}
    assert content == set(_tracked("sesr_jax"))


def test_the_wheel_brings_the_command_and_the_licence(wheel):
    facts = {name.partition(".dist-info/")[2]: name for name in wheel.namelist()}
    assert "sesr = sesr_jax.cli.main:main" in wheel.read(facts["entry_points.txt"]).decode()
    (licence,) = (name for key, name in facts.items() if key.endswith("LICENSE"))
    assert wheel.read(licence) == (_ROOT / "LICENSE").read_bytes()


def test_the_page_of_a_package_index_has_no_link_that_leads_nowhere(wheel):
    (name,) = (name for name in wheel.namelist() if name.endswith(".dist-info/METADATA"))
    _, _, page = wheel.read(name).decode().partition("\n\n")
    assert "# sesr_jax" in page
    assert not re.findall(r"\]\((?!https?:|#)[^)]*\)|<img [^>]*src=\"(?!https?:)", page)


def test_links_of_the_page_lead_to_the_repository_where_it_has_an_address(tmp_path):
    for name in ("README.md", "LICENSE", "setup.py", "pyproject.toml", "sesr_jax/__init__.py"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copyfile(_ROOT / name, tmp_path / name)
    settings = (tmp_path / "pyproject.toml").read_text("utf-8")
    address = "https://github.com/someone/something"
    changed = re.sub('^repository = ".*"$', f'repository = "{address}"', settings, flags=re.M)
    (tmp_path / "pyproject.toml").write_text(changed, encoding="utf-8")
    command = [sys.executable, "setup.py", "--long-description"]
    page = subprocess.run(command, cwd=tmp_path, capture_output=True, check=True).stdout.decode()
    inside = re.findall(
        r"(!?)\[[^\]]*\]\((?!https?:|#)([^)]+)\)", (_ROOT / "README.md").read_text("utf-8")
    )
    assert len(inside) > 10
    for is_image, place in inside:
        assert f"]({address}/{'raw' if is_image else 'blob'}/main/{place})" in page
    assert not re.findall(r"\]\((?!https?:|#)[^)]*\)", page)


def test_every_folder_of_modules_is_a_package():
    folders = {(_ROOT / name).parent for name in _tracked("sesr_jax") if name.endswith(".py")}
    assert not [folder for folder in folders if not (folder / "__init__.py").is_file()]
