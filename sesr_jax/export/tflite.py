"""Writes a Graph as a TFLite file.

    export_tflite(graph, "sesr_m5_x2.tflite", ranges=calibrate(graph, images))

Two converters make them, `jax2tf` and `stablehlo`. What is done to the Graph before and to the file after
is the same for both and stands here: the tail, the forms that 16 bits need, checks, proofs, metadata, and the
golden pair beside the file.

Limits: the exported size is the Graph's; one input and one output.
"""

import dataclasses
import os
import pathlib
from collections.abc import Callable, Mapping
from typing import Any

from sesr_jax.errors import InputError
from sesr_jax.export import jax2tf, sixteen, stablehlo, weights
from sesr_jax.export.checks import check_excluded, check_graph, check_integer, check_kernels
from sesr_jax.export.codes import prove_codes
from sesr_jax.export.flatbuffer import pack, read, with_metadata, with_unsigned_edges
from sesr_jax.export.golden import golden_path, make_golden, measure_difference
from sesr_jax.export.options import Options
from sesr_jax.export.rewrite import rewrite_graph
from sesr_jax.files import replace_files
from sesr_jax.graph import Graph, list_host_blocks, with_input_shape
from sesr_jax.quant import Ranges
from sesr_jax.quant.fake import with_quantised_weights

CONVERTERS: Mapping[str, Callable[[Graph, Ranges, Options], bytes]] = {
    "jax2tf": jax2tf.convert,
    "litert": stablehlo.convert,
}
"""The converters that make a TFLite model, by name."""


def export_tflite(
    graph: Graph,
    path: str | os.PathLike[str],
    *,
    ranges: Ranges | None,
    beside: Mapping[str | os.PathLike[str], Graph] | None = None,
    options: Options | None = None,
    metadata: Mapping[str, Any] | None = None,
    accept: Callable[[pathlib.Path], None] | None = None,
    cross_check: bool = False,
) -> None:
    """Writes `graph` as a TFLite file (see `to_tflite`), and its golden pair (see `golden`) beside it.

    All that it writes appears whole or not at all.

    Args:
      graph: the network at the size to export.
      path: the path of the .tflite file.
      ranges: the range of each group of tensors of `graph`; None for a float file.
      beside: the same network at other sizes, by the path of the file for each.
      options: as for `to_tflite`.
      metadata: what a reader of the bare file should know, as JSON values: `read_metadata`. How the file
        was made is added to it.
      accept: is called with the temporary path of each checked file, and may raise.
      cross_check: whether the other converter's file is made too and run on the golden input; the metadata
        tell the largest difference of its output, in codes, or in values of a float file.

    Raises:
      InputError: as `to_tflite`, `check_integer` and, for an INT8 file, `prove_codes`.
    """
    options = _resolve_options(options, ranges)
    graphs: dict[str | os.PathLike[str], Graph] = {path: graph, **(beside or {})}
    models = {
        where: _convert_and_prove(one, ranges, options, metadata or {}, cross_check)
        for where, one in graphs.items()
    }
    with replace_files(*models, *map(golden_path, models)) as temporary:
        for i, model in enumerate(models.values()):
            temporary[i].write_bytes(model)
            if accept is not None:
                accept(temporary[i])
            temporary[len(models) + i].write_bytes(make_golden(model))


def _convert_and_prove(
    graph: Graph,
    ranges: Ranges | None,
    options: Options,
    metadata: Mapping[str, Any],
    cross_check: bool,
) -> bytes:
    """Returns the model, checked and proved, with metadata that tell how it was made."""
    model = to_tflite(graph, ranges=ranges, options=options)
    if options.integer and not options.exclude:
        check_integer(model, activations="int16" if options.precision == "int16" else "int8")
    facts = {**metadata, **_collect_facts(graph, ranges, options)}
    if options.precision == "int8" and not options.exclude:
        written, new_ranges = rewrite_graph(graph, ranges, options)
        proof = prove_codes(
            model,
            written,
            new_ranges or {},
            convert=lambda shape: to_tflite(
                with_input_shape(graph, shape), ranges=ranges, options=options
            ),
        )
        facts["codes"] = dataclasses.asdict(proof)
    if cross_check:
        facts["cross_check"] = _cross_check(model, graph, ranges, options)
    return with_metadata(model, facts)


def to_tflite(graph: Graph, *, ranges: Ranges | None, options: Options | None = None) -> bytes:
    """Returns the TFLite model of `graph`.

    Args:
      graph: the network at the size to export.
      ranges: the range of each group of tensors of `graph`, before its tail is rewritten.
      options: by default INT8 where there are ranges, and float32 where there are none.

    Raises:
      InputError: an operation has no TFLite form here, a parameter is not finite, or `ranges` or `options` do
        not suit the graph.
    """
    options = _resolve_options(options, ranges)
    check_graph(graph, jax2tf.PIECES, "TFLite")
    check_kernels(graph, options.scheme)
    if options.integer and ranges is None:
        raise InputError(
            f"a file of the precision {options.precision} needs ranges, and there are none; "
            "calibrate this graph, or export float32."
        )
    written, new_ranges = rewrite_graph(graph, ranges if options.integer else None, options)
    used = new_ranges or {}
    if options.exclude or options.precision in ("int16", "weights"):
        # Weights that the converter does not round have their codes here, as in training.
        written = with_quantised_weights(written, options.scheme)
    if options.precision == "int16":
        written, used = sixteen.express_in_16_bits(written, used, options.scheme)
    model = CONVERTERS[options.converter](written, used, options)
    if options.exclude and options.integer:
        check_excluded(model, _count_excluded_kernels(written, options))
    if options.precision == "int16":
        model = sixteen.with_16_bit_facts(model)
    if options.precision == "weights":
        model = weights.with_packed_weights(model)
    if options.precision == "int8" and options.io == "uint8":
        # The converters cannot: TensorFlow's makes one of two scales that its input is brought to, and
        # LiteRT's gives unsigned codes to a last convolution, which has no such kernel.
        model = with_unsigned_edges(model)
    # The model is packed once more for the alignment, which the converters' own writers omit.
    return pack(read(model))


def _resolve_options(options: Options | None, ranges: Ranges | None) -> Options:
    return options or Options(precision="float32" if ranges is None else "int8")


def _count_excluded_kernels(graph: Graph, options: Options) -> int:
    excludes = options.scheme.excludes
    return sum(node.op.startswith("conv2d") and excludes(node.name) for node in graph.nodes)


def _cross_check(
    model: bytes, graph: Graph, ranges: Ranges | None, options: Options
) -> dict[str, Any]:
    """Measures how far the output of the other converter's file is from that of `model`."""
    (other,) = CONVERTERS.keys() - {options.converter}
    second = to_tflite(
        graph,
        ranges=ranges,
        options=dataclasses.replace(options, converter=other),  # type: ignore[arg-type]
    )
    return {"converter": other, "largest_difference": measure_difference(model, second)}


def _collect_facts(graph: Graph, ranges: Ranges | None, options: Options) -> dict[str, Any]:
    """Returns how the file was made, for its metadata."""
    facts = dataclasses.asdict(options) | {"tail": options.choose_tail(graph)}
    facts["io"] = options.io or "int8"
    if options.precision != "int8":
        del facts["io"]  # only an INT8 file has a choice of it
    if options.tail == "none":
        facts["host_blocks"] = list_host_blocks(graph)
    if options.integer and ranges is not None:
        facts["ranges"] = {name: [float(low), float(high)] for name, (low, high) in ranges.items()}
    return facts
