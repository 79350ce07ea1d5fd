"""``sesr compile``: compiles a network for a chip by its vendor's compiler."""

import argparse
import pathlib
from collections.abc import Sequence
from typing import Literal, get_args

from sesr_jax.cli import arguments
from sesr_jax.errors import InputError

_EXAMPLE = """  sesr compile --make-toolchain ~/tpumlir     # once: Python 3.10 with tpu-mlir, 3 GB
  sesr compile --model runs/m5 --target bm1684x-int8 --size 640x480 --calibrate photos \\
      --toolchain ~/tpumlir --out board
  sesr compile --model runs/m5_qat --target bm1684x-int8 --ranges ours --out board
  sesr compile --model realesr-general-x4v3.bin --target bm1684x-f16 --size 640x480 --out board"""


def run(argv: Sequence[str]) -> None:
    """Parses `argv`, compiles, and prints the estimates and the comparison."""
    args = _parse(argv)

    from sesr_jax.npu.compilers.tpu_mlir import (
        METHODS,
        compile_job,
        find_toolchain,
        make_job,
        make_toolchain,
    )

    if args.make_toolchain:
        made = make_toolchain(args.make_toolchain)
        print(f"toolchain: {made.path}")
        return
    from sesr_jax.data import open_source
    from sesr_jax.export import find_calibration
    from sesr_jax.pretrained import find_network
    from sesr_jax.targets import find_target

    arguments.allow_large_images()
    target = find_target(args.target)
    network = find_network(args.model)
    source: Literal["compiler", "ours"] = args.ranges or (
        "compiler" if args.calibrate or network.ranges is None else "ours"
    )
    calibration = None
    if target.bits == 8:
        calibration = find_calibration(network, args.calibrate)
    else:
        options = ("calibrate", "ranges", "method")
        if idle := [f"--{name}" for name in options if getattr(args, name)]:
            raise InputError(f"{', '.join(idle)}: {target.name} computes in float; leave it out.")
    if args.method and source == "ours":
        raise InputError(
            f"--method {args.method} is how tpu-mlir finds ranges, and these are ours; leave it out."
        )
    job = make_job(
        network,
        target,
        size=args.size,
        asymmetric=args.asymmetric,
        calibration=calibration,
        source=source,
        method=args.method or METHODS[0],
    )
    try:
        toolchain = find_toolchain(args.toolchain)
    except InputError as error:
        job.write(args.out)
        raise InputError(
            f"{error} To compile elsewhere, run {args.out / 'compile.sh'} in its folder where tpu-mlir is."
        ) from error
    result = compile_job(
        job,
        toolchain,
        args.out,
        check_on=open_source(args.check_on, network.scale),
        check_size=args.check_size,
    )
    print(result.to_text(), end="")
    print(f"{result.bmodel}: {result.bmodel.stat().st_size / 1e6:.2f} MB; {args.out / 'README.md'}")


def _parse(argv: Sequence[str]) -> argparse.Namespace:
    from sesr_jax.export import DEFAULT_SIZE
    from sesr_jax.npu.compilers.tpu_mlir import METHODS, VARIABLE, Source

    parser = arguments.make_parser(
        "compile",
        "Compile a network for Sophgo's BM1684X by tpu-mlir, which runs in a Python of its own. The compiled "
        "file is run on tpu-mlir's simulator of the chip and compared. A bundle for a board stands beside.",
        _EXAMPLE,
    )
    parser.add_argument(
        "--model", help="a shipped model, a run's folder, a .safetensors file or official weights"
    )
    parser.add_argument("--target", help="the chip: bm1684x-int8, bm1684x-f16 or bm1684x-f32")
    parser.add_argument(
        "--size",
        type=arguments.parse_size,
        default=DEFAULT_SIZE,
        help=f"the width and height of the input; default {DEFAULT_SIZE[1]}x{DEFAULT_SIZE[0]}",
    )
    parser.add_argument(
        "--out", type=pathlib.Path, help="the folder for the compiled file and its bundle"
    )
    parser.add_argument(
        "--calibrate",
        help="a folder of images, on the low resolutions of the first 32 of which the ranges of INT8 "
        "activations are measured; default embedded:train, unless the network was trained with ranges",
    )
    parser.add_argument(
        "--ranges",
        choices=get_args(Source),
        help="who finds these ranges: tpu-mlir, or this package, which takes those of the training where "
        "there is no --calibrate; default compiler, but for a network that was trained with ranges",
    )
    parser.add_argument(
        "--method",
        choices=METHODS,
        help=f"how tpu-mlir finds ranges; default {METHODS[0]}",
    )
    parser.add_argument(
        "--asymmetric", action="store_true", help="give the codes of INT8 activations zero points"
    )
    parser.add_argument(
        "--toolchain",
        type=pathlib.Path,
        help=f"the folder of tpu-mlir's environment; default the variable {VARIABLE}",
    )
    parser.add_argument(
        "--make-toolchain",
        type=pathlib.Path,
        metavar="FOLDER",
        help="only make that environment, by python3.10 and pip, in a new folder",
    )
    parser.add_argument(
        "--check-on",
        default="embedded:eval",
        help="the images of the comparison, of which the first three are taken; default %(default)s",
    )
    parser.add_argument(
        "--check-size",
        type=arguments.parse_size,
        help="the width and height of their centres that are taken; default at most 64x64",
    )
    args = parser.parse_args(argv)
    if not args.make_toolchain:
        missing = [name for name in ("model", "target", "out") if getattr(args, name) is None]
        if missing:
            parser.error(f"--{missing[0]} is missing")
    return args
