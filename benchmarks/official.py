"""Measures the official weights of the networks for efficient super-resolution, beside the published PSNR.

    python -m benchmarks.official FOLDER --data SETS

FOLDER holds the authors' files under their own names; what is absent is named and passed over. The files are
in these public repositories, and are not part of this one:

- njulj/RFDN (trained_model), Zheng222/IMDN (checkpoints), zhaohengyuan1/PAN (experiments/pretrained_models),
  ymff0592/super-resolution (premodel), bytedance/RLFN (model_zoo);
- nmhkahn/CARN-pytorch (checkpoint; carn_m.pth holds three scale factors, each of which needs a copy under a
  name that tells it), royson/tpsr (pretrained);
- ofsoundof/NTIRE2022_ESR, Amazingren/NTIRE2024_ESR, NTIRE2025_ESR and NTIRE2026_ESR (model_zoo).

PSNR is that of the protocol rgb8: on luma, of images that are reduced and upscaled as 8-bit RGB. Published
figures are those of the papers; LatticeNet's are those of its released weights, as later papers print them,
and PAN's at ×4 are the means of its log. RFDN's are those of this form's weights as others measured them.
CARN-M's are the paper's, whose weights were others.
"""

import argparse
import json
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

from tqdm import tqdm

from sesr_jax.compare import measure
from sesr_jax.errors import InputError
from sesr_jax.files import write_file
from sesr_jax.metrics import RGB8
from sesr_jax.report import format_table
from sesr_jax.upscale import load_upscaler

SETS = ("Set5", "Set14", "B100")

# file; dB on Set5, Set14 and B100 as published, "-" where they are not
_TABLE = """
IMDN_x2.pth                    38.00   33.63   32.19
IMDN_x3.pth                    34.36   30.32   29.09
IMDN_x4.pth                    32.21   28.58   27.56
imdn_baseline.pth              -       -       -
RFDN_AIM.pth                   32.16   28.65   -
PANx2_DF2K.pth                 -       -       -
PANx3_DF2K.pth                 -       -       -
PANx4_DF2K.pth                 32.1311 28.6107 27.5914
LatticeNet_x2.pt               -       -       -
LatticeNet_x3.pt               -       -       -
LatticeNet_x4.pt               32.18   28.61   27.57
rlfn_x2.pth                    38.07   33.72   32.22
rlfn_x4.pth                    32.24   28.62   27.60
rlfn_s_x2.pth                  -       -       -
rlfn_s_x4.pth                  -       -       -
rlfn_ntire_x4.pth              -       -       -
team01_efdn.pth                -       -       -
team38_span_ch28_slim.pth      -       -       -
team39_spantiny_ch26_slim.pth  -       -       -
team23_DSCF.pth                -       -       -
team22_spanv2_c2.pth           -       -       -
carn_m_x2.pth                  37.53   33.26   31.92
carn_m_x4.pth                  31.92   28.42   27.44
TPSR_NOGANX4.pt                31.10   27.95   27.15
"""


def read_table() -> dict[str, dict[str, float | None]]:
    """Returns the published PSNR by file and set; None stands where none was published."""
    table = {}
    for line in _TABLE.strip().splitlines():
        file, *cells = line.split()
        table[file] = {
            name: None if cell == "-" else float(cell)
            for name, cell in zip(SETS, cells, strict=True)
        }
    return table


def format_row(
    file: str, found: Mapping[str, float], published: Mapping[str, float | None]
) -> list[str]:
    """Returns a line of the table: what was measured, what was published, and the difference."""
    cells = [file]
    for name, psnr in found.items():
        stated = published[name]
        cells += [f"{psnr:.4f}", f"{stated or '–'}", f"{psnr - stated:+.4f}" if stated else ""]
    return cells


def make_parser(description: str | None, sets: Sequence[str]) -> argparse.ArgumentParser:
    """Returns a parser of what names the authors' files and the images; `sets` are the default."""
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=pathlib.Path, help="the folder of the authors' files")
    parser.add_argument(
        "--data",
        type=pathlib.Path,
        help="the folder with the folders Set5, Set14 and B100; default the folder of the files",
    )
    parser.add_argument("--only", help="measure the files whose name contains this")
    parser.add_argument(
        "--set", action="append", choices=SETS, help=f"the sets; default {', '.join(sets)}"
    )
    parser.add_argument("--json", type=pathlib.Path, help="also write the results there")
    return parser


def list_files(folder: pathlib.Path, only: str | None) -> tuple[list[pathlib.Path], list[str]]:
    """Returns the authors' files that are in `folder`, and the names of those that are not.

    Args:
      folder: the folder of the authors' files.
      only: a part of the wanted names, in any case; None for all.
    """
    paths = [folder / name for name in read_table() if (only or "").lower() in name.lower()]
    absent = [path.name for path in paths if not path.is_file()]
    return [path for path in paths if path.name not in absent], absent


def finish(absent: Sequence[str], results: Mapping[str, Any], path: pathlib.Path | None) -> None:
    """Prints which of the authors' files were absent, and writes the results as JSON to `path` if given."""
    if absent:
        print(f"not there: {', '.join(absent)}")
    if path:
        write_file(path, json.dumps(results, indent=2))


def main(argv: list[str] | None = None) -> None:
    """Parses `argv`, measures, and prints the table line by line."""
    args = make_parser(__doc__, SETS).parse_args(argv)
    sets, table = args.set or SETS, read_table()
    folders = [str((args.data or args.folder) / name) for name in sets]
    results: dict[str, dict[str, float]] = {}
    rows = []
    paths, absent = list_files(args.folder, args.only)
    for path in paths:
        try:
            scores = measure(load_upscaler(path, "xla"), folders, RGB8)
        except InputError as error:
            raise SystemExit(str(error)) from error
        found = {name: score.mean["psnr"] for name, score in zip(sets, scores, strict=True)}
        results[path.name] = found
        rows.append(format_row(path.name, found, table[path.name]))
        tqdm.write("  ".join(rows[-1]))  # the whole table takes hours on a CPU
    header = ["file", *(cell for name in sets for cell in (name, "published", ""))]
    print(format_table(rows, header, "<" + ">" * (len(header) - 1)))
    finish(absent, results, args.json)


if __name__ == "__main__":
    main()
