"""What targets make of files."""

import jax
import numpy as np
import pytest

from sesr_jax.errors import InputError, UnsupportedError
from sesr_jax.export import Options, flatbuffer, to_tflite, trace_collapsed
from sesr_jax.models import network
from sesr_jax.npu import (
    Layer,
    check_accepted,
    check_latency,
    find_refusal,
    layers_from_tflite,
    list_refusals,
)
from sesr_jax.quant import calibrate
from sesr_jax.targets import find_target

N78 = find_target("ethos-n78-4tops")


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """INT8 files of a network with ReLU and one with PReLU, and a float one."""
    folder, paths = tmp_path_factory.mktemp("files"), {}
    for name in ("sesr_m3_hw", "sesr_m3"):
        made = network.init(name, scale=2, key=jax.random.key(0), expansion=4, blocks=2)
        graph = trace_collapsed(made, (16, 24))
        ranges = calibrate(graph, [np.random.default_rng(0).uniform(size=(1, 16, 24, 1))])
        paths[name] = folder / f"{name}.tflite"
        paths[name].write_bytes(to_tflite(graph, ranges=ranges))
    paths["float"] = folder / "float.tflite"
    options = Options(precision="float32")
    paths["float"].write_bytes(to_tflite(graph, ranges=None, options=options))
    return paths


def test_a_network_for_the_target_runs_on_it(files):
    assert list_refusals(files["sesr_m3_hw"], N78) == ()
    check_accepted(files["sesr_m3_hw"], N78)
    milliseconds = check_latency(files["sesr_m3_hw"], N78, 1000)
    with pytest.raises(InputError, match=f"{milliseconds:.2f} ms on {N78.name}"):
        check_latency(files["sesr_m3_hw"], N78, 0.5 * milliseconds)


def test_what_it_lacks_is_named_with_the_reason(files):
    reasons = list_refusals(files["sesr_m3"], N78)
    prelu = next(reason for reason in reasons if "prelu" in reason)
    assert prelu.startswith("prelu after 2_conv_2d, prelu after 4_conv_2d: ")
    with pytest.raises(
        UnsupportedError, match=r"ethos-n78-4tops does not run prelu after 2_conv_2d"
    ):
        check_accepted(files["sesr_m3"], N78)


def test_elements_that_it_does_not_compute_with(files):
    assert any("elements of 32 bits" in reason for reason in list_refusals(files["float"], N78))
    whole = list_refusals(files["float"], find_target("roofline"))
    assert whole == ("every operator: elements of 32 bits",)
    f16 = find_target("bm1684x-f16")
    assert not any("bits" in reason for reason in list_refusals(files["float"], f16))


def test_a_dynamic_shape_is_a_reason_and_a_file_that_is_no_model_an_error(files, tmp_path):
    model = flatbuffer.read(files["sesr_m3_hw"])
    for tensor in model.subgraphs[0].tensors:
        if len(tensor.shape) == 4 and not _length(model, tensor):
            tensor.shapeSignature = [1, -1, -1, tensor.shape[3]]
    (tmp_path / "free.tflite").write_bytes(flatbuffer.pack(model))
    (reason,) = list_refusals(tmp_path / "free.tflite", N78)
    assert "(1, -1, -1, " in reason
    (tmp_path / "x.tflite").write_bytes(b"no model")
    with pytest.raises(InputError, match=r"x\.tflite") as raised:
        list_refusals(tmp_path / "x.tflite", N78)
    assert not isinstance(raised.value, UnsupportedError)


def _conv(**fields):
    shape = (1, 16, 24, 8)
    made = {"name": "0_conv_2d", "op": "conv2d", "inputs": ("x",), "input_shapes": (shape,)}
    return Layer(**made | {"output": "y", "output_shape": shape, "kernel": (3, 3)} | fields)


def test_what_the_estimate_refuses_is_refused(files, tmp_path):
    """A batch, and dilation, which Ethos-N lacks and other NPUs pay for."""
    model = flatbuffer.read(files["sesr_m3_hw"])
    (graph,) = model.subgraphs
    for tensor in graph.tensors:
        if len(tensor.shape) == 4 and tensor.shape[0] == 1 and not _length(model, tensor):
            tensor.shape = [4, *tensor.shape[1:]]
    path = tmp_path / "batch.tflite"
    path.write_bytes(flatbuffer.pack(model))
    assert any("a batch of several images" in reason for reason in list_refusals(path, N78))
    for name in ("ethos-n78-4tops", "ethos-u85-2048", "bm1684x-int8"):
        assert not find_refusal(_conv(), find_target(name))
        assert find_refusal(_conv(dilations=(9, 9)), find_target(name)) == "dilation (9, 9)"
    assert _conv(dilations=(9, 2)).extent == (19, 5)


def test_the_dilation_of_a_file_is_its_layer_s(files, tmp_path):
    model = flatbuffer.read(files["sesr_m3_hw"])
    every = (op.builtinOptions for op in model.subgraphs[0].operators)
    options = next(one for one in every if hasattr(one, "dilationHFactor"))
    options.dilationHFactor = options.dilationWFactor = 2
    (tmp_path / "m.tflite").write_bytes(flatbuffer.pack(model))
    layers = layers_from_tflite(tmp_path / "m.tflite")
    found = [layer.dilations for layer in layers if layer.op == "conv2d"]
    assert found == [(2, 2)] + [(1, 1)] * (len(found) - 1)


def _length(model, tensor):
    data = model.buffers[tensor.buffer].data
    return 0 if data is None else len(data)
