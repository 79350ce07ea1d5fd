"""What targets make of files."""

import jax
import numpy as np
import pytest

from sesr_jax.errors import InputError
from sesr_jax.export import Options, deployable, to_tflite
from sesr_jax.models import network
from sesr_jax.npu import check_accepted, find_target, refusals
from sesr_jax.quant import calibrate

N78 = find_target("ethos-n78-4tops")


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """INT8 files of a network with ReLU and one with PReLU, and a float one."""
    folder, paths = tmp_path_factory.mktemp("files"), {}
    for name in ("sesr_m3_hw", "sesr_m3"):
        made = network.init(name, scale=2, key=jax.random.key(0), expansion=4, blocks=2)
        graph = deployable(made, (16, 24))
        ranges = calibrate(graph, [np.random.default_rng(0).uniform(size=(1, 16, 24, 1))])
        paths[name] = folder / f"{name}.tflite"
        paths[name].write_bytes(to_tflite(graph, ranges=ranges))
    paths["float"] = folder / "float.tflite"
    options = Options(precision="float32")
    paths["float"].write_bytes(to_tflite(graph, ranges=None, options=options))
    return paths


def test_a_network_for_the_target_runs_on_it(files):
    assert refusals(files["sesr_m3_hw"], N78) == ()
    check_accepted(files["sesr_m3_hw"], N78)


def test_what_it_lacks_is_named_with_the_reason(files):
    reasons = refusals(files["sesr_m3"], N78)
    prelu = next(reason for reason in reasons if "prelu" in reason)
    assert prelu.startswith("prelu after 2_conv_2d, prelu after 4_conv_2d: ")
    with pytest.raises(
        InputError, match=r"ethos-n78-4tops does not run prelu after 2_conv_2d, .*choose"
    ):
        check_accepted(files["sesr_m3"], N78)


def test_elements_that_it_does_not_compute_with(files):
    assert any("elements of 32 bits" in reason for reason in refusals(files["float"], N78))
    f16 = find_target("bm1684x-f16")
    assert not any("bits" in reason for reason in refusals(files["float"], f16))


def test_a_file_that_cannot_be_read_is_its_own_reason(tmp_path):
    (tmp_path / "x.tflite").write_bytes(b"no model")
    (reason,) = refusals(tmp_path / "x.tflite", N78)
    assert "not a TFLite model" in reason
