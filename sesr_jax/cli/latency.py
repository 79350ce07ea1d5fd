"""``sesr latency``: what networks cost on NPUs."""

import argparse
import pathlib
from collections.abc import Sequence
from typing import TYPE_CHECKING

from sesr_jax.cli import arguments
from sesr_jax.errors import InputError

if TYPE_CHECKING:
    from sesr_jax.models.network import Network
    from sesr_jax.npu import Layer
    from sesr_jax.targets import Target

_EXAMPLE = """  sesr latency sesr_m5_hw --scale 2 --size 1920x1080 --saving 0.5
  sesr latency model_int8.tflite --target ethos-n78-8tops --html latency.html
  sesr latency sesr_m5_hw_x2 runs/xlsr --size 640x360
  sesr latency sesr_m5_hw fsrcnn --target ethos-n78-4tops --target bm1684x-int8
  sesr latency sesr_m3 sesr_m5 sesr_m11 fsrcnn --target bm1684x-int8 --html pareto.html
  sesr latency sesr_m5_hw --tile auto
  sesr latency model_int8.tflite --target ethos-u85-2048 --compile
  sesr latency sesr_m5_hw --target next_chip.toml    # a copy of a target's file, filled in"""


def run(argv: Sequence[str]) -> None:
    """Parses `argv`, estimates, and prints the reports."""
    parser = arguments.make_parser(
        "latency",
        "Estimate time, DRAM traffic and on-chip memory on an NPU, layer by layer.",
        _EXAMPLE,
    )
    parser.add_argument(
        "model",
        nargs="+",
        help="models of the zoo, trained networks (shipped ones, folders of runs, files of weights), or any "
        "INT8 .tflite files",
    )
    parser.add_argument(
        "--scale",
        type=int,
        help="the scale factor of a model of the zoo, default 2; a trained network has its own",
    )
    parser.add_argument(
        "--size",
        type=arguments.parse_size,
        help="the input of a network, or the frame that --tile cuts; default 1920x1080",
    )
    parser.add_argument(
        "--target",
        action="append",
        help=f"an NPU: the name of a target or a .toml file; repeatable; default {arguments.TARGET}",
    )
    parser.add_argument(
        "--saving",
        type=arguments.parse_share,
        default=0.0,
        help="the share of the activations' DRAM traffic, from 0 to below 1, that compression saves, where "
        "the target compresses; default 0",
    )
    parser.add_argument(
        "--tile",
        type=arguments.parse_tile,
        help="also cut an input of --size into tiles: auto, or such as 400x300, halo included",
    )
    parser.add_argument(
        "--compile",
        action="store_true",
        help="also run the target's own compiler on .tflite files: Vela for ethos-u*, the extra npu",
    )
    parser.add_argument(
        "--psnr",
        type=_parse_decibels,
        help="the PSNR of each model in dB, such as 37.2,37.4, for the plot of quality and latency of "
        "--html; by default what papers print for Set5",
    )
    parser.add_argument(
        "--csv",
        type=pathlib.Path,
        help="also write the table to this file, for one model and one target",
    )
    parser.add_argument("--html", type=pathlib.Path, help="also write this page, with plots")
    args = parser.parse_args(argv)

    from sesr_jax.files import write_file
    from sesr_jax.npu import estimate, find_best_tiling, find_ideas, make_latency_page
    from sesr_jax.npu.compilers import compile_model
    from sesr_jax.npu.page import SUMMARY, Candidate, make_summary_row
    from sesr_jax.report import format_table, write_page
    from sesr_jax.targets import find_target

    targets = [find_target(name) for name in args.target or [arguments.TARGET]]
    if args.csv and len(targets) * len(args.model) > 1:
        raise InputError("--csv holds one report; name one model and one target, or use --html.")
    if args.compile and not all(model.endswith(".tflite") for model in args.model):
        raise InputError("--compile wants .tflite files; write one with `sesr export`.")
    _refuse_unused_options(args, targets)
    size = args.size or (1080, 1920)
    if args.psnr and len(args.psnr) != len(args.model):
        raise InputError(
            f"--psnr has {len(args.psnr)} values for {len(args.model)} models; give one for each."
        )
    quality = args.psnr or [_find_published_psnr(model, args.scale or 2) for model in args.model]
    candidates = []
    for model, psnr in zip(args.model, quality, strict=True):
        layers, halo, align = _make_layers(model, args.scale, size, bool(args.tile))
        for target in targets:
            report = estimate(layers, target, activation_saving=args.saving)
            tiling = None
            if args.tile:
                tiling = find_best_tiling(
                    layers,
                    target,
                    frame=size,
                    halo=halo,
                    align=align,
                    activation_saving=args.saving,
                    tile=None if args.tile == "auto" else args.tile,
                )
            ideas = find_ideas(layers, target, activation_saving=args.saving) if args.html else ()
            name = pathlib.Path(model).name
            candidates.append(
                Candidate(name=name, report=report, ideas=ideas, tiling=tiling, psnr=psnr)
            )
    for one in candidates:
        if len(candidates) == 1:
            print(one.report.to_text(), end="")
        if one.tiling:
            print(f"{one.name}, {one.report.target.name}: {one.tiling.to_text()}")
    if len(candidates) > 1:
        print(format_table([make_summary_row(one) for one in candidates], SUMMARY, "<<>>><>>>>>"))
    if args.compile:
        for model in args.model:
            for target in targets:
                print(f"\n{compile_model(model, target).to_text()}", end="")
    if args.csv:
        write_file(args.csv, candidates[0].report.to_csv())
    if args.html:
        write_page(make_latency_page(candidates), args.html)
        print(f"page: {args.html}")


def _refuse_unused_options(args: argparse.Namespace, targets: "Sequence[Target]") -> None:
    """Refuses options that would have no effect."""
    if args.saving and not any(target.compresses for target in targets):
        names = ", ".join(target.name for target in targets)
        raise InputError(
            f"--saving {args.saving:g}: {names} compresses no activations; leave it out."
        )
    if all(model.endswith(".tflite") for model in args.model):
        unused = ["--scale"] * (args.scale is not None)
        unused += ["--size"] * (args.size is not None and not args.tile)
        if unused:
            raise InputError(
                f"{', '.join(unused)}: for networks, as a .tflite file has its own; leave it out."
            )


def _parse_decibels(text: str) -> list[float]:
    try:
        return [float(part) for part in text.split(",")]
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"{text!r} is no list of dB; write such as 37.2,37.4"
        ) from None


def _find_published_psnr(model: str, scale: int) -> float | None:
    """Returns the PSNR on Set5 that the model's paper prints, or None where it prints none."""
    from sesr_jax.models import VARIANTS

    if model not in VARIANTS:
        return None
    figures = VARIANTS[model].published.get(scale, {})
    return figures["Set5"][0] if "Set5" in figures else None


def _make_layers(
    model: str, scale: int | None, size: tuple[int, int], with_halo: bool
) -> "tuple[Sequence[Layer], int, int]":
    """Returns the model's layers, its halo (0 unless `with_halo`) and the multiple at which tiles start."""
    from sesr_jax.npu import layers_from_graph, layers_from_tflite
    from sesr_jax.upscale import from_tflite

    if model.endswith(".tflite"):
        geometry = (0, 1)
        if with_halo:
            looks = from_tflite(model).extent
            geometry = (looks.get_halo(model), looks.align)
        return layers_from_tflite(model), *geometry

    from sesr_jax.graph import eval_shapes, measure_extent

    def trace() -> "tuple[Sequence[Layer], int, int]":
        network = _find_network(model, scale)
        graph = network.trace((1, *size, network.channels))
        looks = measure_extent(graph)
        return layers_from_graph(graph), looks.get_halo(model) if with_halo else 0, looks.align

    return eval_shapes(trace)


def _find_network(model: str, scale: int | None) -> "Network":
    """Returns a trained network, or a fresh one of the zoo, whose weights do not matter here."""
    import jax

    from sesr_jax.models import network
    from sesr_jax.pretrained import find_network, list_shipped_files

    if model not in list_shipped_files() and not pathlib.Path(model).exists():
        return network.init(model, scale=scale or 2, key=jax.random.key(0))
    trained = find_network(model)
    if scale not in (None, trained.scale):
        raise InputError(f"--scale {scale}: {model} upscales ×{trained.scale}; leave it out.")
    return trained
