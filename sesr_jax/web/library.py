"""LiteRT.js, which runs .tflite files in browsers: fetched by npm, and copied beside a page.

The versions and their checksums stand in ``static/package-lock.json``.
"""

import pathlib
import shutil
import subprocess
import tempfile

from sesr_jax.errors import InputError
from sesr_jax.files import write_file

_STATIC = pathlib.Path(__file__).parent / "static"
_PACKAGES = ("core", "wasm-utils")
_VARIANTS = ("", "_compat", "_threaded")
"""The variants of the library: for most browsers, for those without relaxed SIMD, and for pages that may have
threads."""

_SECONDS = 600


def check_npm() -> str:
    """Returns where npm is.

    Raises:
      InputError: it is not installed.
    """
    npm = shutil.which("npm")
    if npm is None:
        raise InputError(
            "a page for browsers holds LiteRT.js, which npm fetches, and npm is not installed; install "
            "Node.js, which brings it."
        )
    return npm


def fetch_library(folder: pathlib.Path) -> None:
    """Fetches LiteRT.js into ``folder/litert``, without running any of its scripts.

    Raises:
      InputError: npm is not installed, or cannot fetch the library; or the folder cannot be written.
    """
    npm = check_npm()
    with tempfile.TemporaryDirectory() as name:
        place = pathlib.Path(name)
        for file in ("package.json", "package-lock.json"):
            shutil.copyfile(_STATIC / file, place / file)
        command = [npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
        try:
            done = subprocess.run(
                command, cwd=place, capture_output=True, text=True, timeout=_SECONDS, check=False
            )
        except subprocess.TimeoutExpired:
            raise InputError(
                f"npm did not fetch LiteRT.js within {_SECONDS} s; try again."
            ) from None
        if done.returncode:
            said = [line for line in done.stderr.splitlines() if line.startswith("npm error")]
            reason = " ".join(line.removeprefix("npm error").strip() for line in said[:4])
            raise InputError(f"npm can't fetch LiteRT.js ({reason or done.returncode}); try again.")
        for package in _PACKAGES:
            source, target = (
                place / "node_modules" / "@litertjs" / package,
                folder / "litert" / package,
            )
            for file in _list_files(package):
                write_file(target / file, (source / file).read_bytes())


def _list_files(package: str) -> list[str]:
    """Returns the files of a package that the page loads, and the one that states its licence."""
    files = ["package.json", "dist/index.js"]
    if package == "core":
        stems = [f"wasm/litert_wasm{variant}_internal" for variant in _VARIANTS]
        files += [f"{stem}.{kind}" for stem in stems for kind in ("js", "wasm")]
    return files
