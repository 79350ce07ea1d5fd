"""Writes a Graph as an ONNX file, of float32, of float16, or INT8 in QDQ form.

    export_onnx(graph, "sesr_m5_x2.onnx", ranges=calibrate(graph, images))

Tensors are ``[N, C, H, W]`` within the file and at its ends, as ONNX has it: the input is the float32
image in [0, 1], and so is the output. N, H and W are symbolic: a file runs at every size at which
`graph.run` does. Nodes and tensors are named as in the Graph.

A float16 file has weights and activations of 16 bits between a Cast at each end. There ``input/float16`` is
what others read of the input, and the last layer writes a tensor of such a name too.

An INT8 file is a float network with a QuantizeLinear and a DequantizeLinear at each quantisation point
(`quant.find_points`), which runtimes fuse into integer kernels. There the value before the point is
``name/float``, its codes are ``name/codes``, and what others read is ``name`` (for the input, whose
float value has its name, ``name/dequantised``). Kernels have symmetric int8 codes with a scale for each
output channel, biases the int32 codes of their convolution's sums, PReLU slopes symmetric int8 codes
and other constants the codes of their own range, all as in our TFLite files. Where its pixels are int8,
they are the codes at the ends of the file. Pixels of uint8, which are these codes plus 128, are dequantised
and quantised there once more (``name/pixels``), so that all codes within are the same.

Limits: one input, one output; activations of 16 bits would need a later operator set. ONNX Runtime
quantises the float kernel of an excluded convolution between two points on its own account, unless its
optimiser "WeightBiasQuantization" is disabled.
"""

import dataclasses
import json
import os
from collections.abc import Mapping
from typing import Any

import numpy as np

from sesr_jax import __version__
from sesr_jax.errors import InputError, require_extra
from sesr_jax.export.checks import check_graph
from sesr_jax.export.golden import golden_path, make_onnx_golden
from sesr_jax.export.onnx_operators import CALLS
from sesr_jax.export.onnx_proof import prove_onnx
from sesr_jax.export.onnx_writer import Writer
from sesr_jax.export.options import Codes
from sesr_jax.files import replace_files
from sesr_jax.graph import Graph
from sesr_jax.quant import INT8, Ranges, Scheme, find_points, validate
from sesr_jax.untrusted import parse_json

OPSET = 17
"""The version of ONNX's operator set in the files. It suffices, and fewer tools read a later one."""


def export_onnx(
    graph: Graph,
    path: str | os.PathLike[str],
    *,
    ranges: Ranges | None = None,
    scheme: Scheme = INT8,
    half: bool = False,
    io: Codes | None = None,
    metadata: Mapping[str, Any] | None = None,
) -> None:
    """Writes `graph` as an ONNX file (see `to_onnx`), and its golden pair (see `golden`) beside it.

    ONNX Runtime has run the file before it takes its place (`prove_onnx`). Both appear whole or not at all.

    Args:
      graph: the network; the file takes images of other sizes too, and the pair has this one.
      path: the path of the .onnx file.
      ranges: the range of each group of tensors, or None for float activations.
      scheme: what is quantised where there are ranges; with float activations, the kernels alone.
      half: as for `to_onnx`.
      io: as for `to_onnx`.
      metadata: what a reader of the bare file should know. It stands in ``metadata_props``, text as it
        is and all other values as JSON, beside "version" (of this package), "onnx_runtime" (the proof) and
        "ranges".

    Raises:
      InputError: as `to_onnx` and `prove_onnx`, or the file cannot be written.
    """
    model = to_onnx(graph, ranges=ranges, scheme=scheme, half=half, io=io)
    proof = prove_onnx(model, graph, ranges=ranges, scheme=scheme, half=half)
    facts = {"version": __version__} | dict(metadata or {})
    facts["onnx_runtime"] = dataclasses.asdict(proof)
    if ranges is not None:
        facts["ranges"] = {key: [float(low), float(high)] for key, (low, high) in ranges.items()}
    for key, value in facts.items():
        text = value if isinstance(value, str) else json.dumps(value)
        model.metadata_props.add(key=key, value=text)
    content = model.SerializeToString()
    with replace_files(path, golden_path(path)) as (file, golden):
        file.write_bytes(content)
        golden.write_bytes(make_onnx_golden(content, graph.input_shape, half=half))


def read_onnx_metadata(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Returns what `export_onnx` wrote into the metadata of a file that this package has made.

    Raises:
      InputError: onnx is not installed.
    """
    with require_extra("export", "reading ONNX files"):
        import onnx

    return parse_metadata(onnx.load(os.fspath(path)))


def parse_metadata(model: Any) -> dict[str, Any]:
    """Returns the metadata of an `onnx.ModelProto`: JSON's values where they are such, and otherwise text."""
    found: dict[str, Any] = {}
    for prop in model.metadata_props:
        try:
            found[prop.key] = parse_json(prop.value, prop.key)
        except InputError:
            found[prop.key] = prop.value
    return found


def to_onnx(
    graph: Graph,
    *,
    ranges: Ranges | None = None,
    scheme: Scheme = INT8,
    half: bool = False,
    io: Codes | None = None,
) -> Any:
    """Returns the `onnx.ModelProto` of `graph`, quantised by `scheme` where there are ranges.

    Args:
      graph: the network.
      ranges: the range of each group of tensors, or None for float activations.
      scheme: what is quantised. A scheme of float activations needs no ranges: then the kernels alone have
        codes.
      half: whether weights and activations are float16, where nothing has codes.
      io: the type of an INT8 file's pixels; None for float32.

    Raises:
      InputError: an operation has no ONNX form here, a parameter is not finite, or beyond float16, `ranges`,
        `half` or `io` do not suit the graph or each other, activations have 16 bits, or the package onnx is
        not installed.
    """
    weights_alone = scheme.activations == "float"
    if scheme.activations == "int16":
        raise InputError(
            f"ONNX files of operator set {OPSET} have no int16 activations; export int8, or to .tflite."
        )
    check_graph(graph, CALLS, "ONNX")
    if ranges is not None:
        validate(graph, ranges, scheme)
    if half and (weights_alone or ranges is not None):
        raise InputError(
            "codes stand for float32: a file of float16 must have neither ranges nor codes."
        )
    if io is not None:
        _check_coded_ends(graph, ranges, scheme, io)
    with require_extra("export", "writing ONNX files"):
        import onnx

    used = scheme if weights_alone or ranges is not None else None
    writer = Writer(graph, ranges or {}, used, half=half, io=io)
    tensor = onnx.helper.make_tensor_value_info
    kind = onnx.helper.np_dtype_to_tensor_dtype(np.dtype(io or np.float32))
    channels, out_channels = graph.input_shape[-1], graph.shapes[graph.output][-1]
    opsets = [onnx.helper.make_opsetid("", OPSET)]
    model = onnx.helper.make_model(
        onnx.helper.make_graph(
            writer.nodes,
            "sesr_jax",
            [tensor(graph.input, kind, ["N", channels, "H", "W"])],
            [tensor(graph.output, kind, ["N", out_channels, "H_out", "W_out"])],
            writer.constants,
        ),
        opset_imports=opsets,
        ir_version=onnx.helper.find_min_ir_version_for(opsets),
        producer_name="sesr_jax",
        producer_version=__version__,
    )
    onnx.checker.check_model(model, full_check=True)
    return model


def _check_coded_ends(graph: Graph, ranges: Ranges | None, scheme: Scheme, io: Codes) -> None:
    """Checks that the image has codes where it comes and where it goes."""
    group = {} if ranges is None else find_points(graph, scheme).group
    for name in (graph.input, graph.output):
        if name not in group:
            raise InputError(
                f"{name!r} has no codes, so that it cannot have pixels of {io}: leave io out, or exclude "
                "fewer layers."
            )
