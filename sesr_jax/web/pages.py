"""Writing the page of a network: its files, LiteRT.js, and what joins them.

    write_web_page(network, "m5_web", calibration=find_calibration(network))

The folder then works behind any server of files, also without a network.
"""

import json
import os
import pathlib
from collections.abc import Iterable, Mapping

from sesr_jax.data import ImagePair
from sesr_jax.export import Options, export_network
from sesr_jax.export.options import Converter
from sesr_jax.files import write_file
from sesr_jax.models.network import Network
from sesr_jax.upscale import Upscaler, from_network
from sesr_jax.web.facts import check_tile, find_facts, find_file_facts
from sesr_jax.web.library import check_npm, fetch_library
from sesr_jax.web.page import to_html

WEB_TILE = (256, 256)
"""The height and width of the tiles for which no other size is given."""

_SCRIPTS = ("page.js", "upscaling.js")
_STATIC = pathlib.Path(__file__).parent / "static"


def write_web_page(
    network: Network,
    folder: str | os.PathLike[str],
    *,
    size: tuple[int, int] = WEB_TILE,
    calibration: Iterable[ImagePair] | None = None,
    observer: str = "min_max",
    converter: Converter = "jax2tf",
) -> list[pathlib.Path]:
    """Exports a network as INT8 and as float, and writes a page that upscales photos by these files.

    Args:
      network: the trained network.
      folder: what gets the page as ``index.html``, LiteRT.js, and the .tflite files.
      size: the height and width of the tiles that the files take.
      calibration: as of `export_network`.
      observer: as of `export_network`.
      converter: as of `Options`.

    Returns:
      The paths of the .tflite files.

    Raises:
      InputError: npm is not installed or cannot fetch LiteRT.js; the network looks at the whole image, or too
        far for the tiles; or as `export_network`.
    """
    folder = pathlib.Path(folder)
    check_npm()
    upscaler = from_network(network)
    check_tile(upscaler, size)
    fetch_library(folder)
    stem = f"{network.name}_x{network.scale}"
    files = {}
    for name, options in (
        ("INT8", Options(io="uint8", converter=converter)),
        ("float", Options(precision="float32", converter=converter)),
    ):
        files[name] = folder / f"{stem}_{name.lower()}.tflite"
        export_network(
            network,
            files[name],
            size=size,
            calibration=calibration if options.integer else None,
            observer=observer,
            options=options,
        )
    write_page_files(upscaler, files, folder, size)
    return list(files.values())


def write_page_files(
    upscaler: Upscaler,
    files: Mapping[str, pathlib.Path],
    folder: pathlib.Path,
    size: tuple[int, int],
) -> None:
    """Writes the page of finished files, its scripts and its facts; LiteRT.js stands there already.

    Args:
      upscaler: runs the network.
      files: the .tflite files in `folder`, by the names that the page shows.
      folder: what gets the page.
      size: the height and width of the tiles that the files take.

    Raises:
      InputError: as `find_facts` and `find_file_facts`, or a file cannot be written.
    """
    facts = find_facts(upscaler, size)
    facts["files"] = [find_file_facts(name, path) for name, path in files.items()]
    for script in _SCRIPTS:
        write_file(folder / script, (_STATIC / script).read_bytes())
    write_file(folder / "facts.json", json.dumps(facts, indent=1))
    sizes = [path.stat().st_size for path in files.values()]
    title = f"{upscaler.name} ×{upscaler.scale} in your browser"
    write_file(folder / "index.html", to_html(title, facts, sizes))
