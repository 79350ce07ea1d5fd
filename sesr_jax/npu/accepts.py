"""Which operators of a TFLite file a target refuses, and why, and whether it is fast enough there.

for reason in list_refusals("sesr_m5_x2_int8.tflite", find_target("ethos-n78-4tops")): print(reason)
"""

import os

from sesr_jax.errors import InputError, UnsupportedError
from sesr_jax.npu.estimate import estimate
from sesr_jax.npu.layers import find_batches
from sesr_jax.npu.lowering import lower
from sesr_jax.npu.tflite_layers import layers_from_tflite
from sesr_jax.targets import Target


def list_refusals(path: str | os.PathLike[str], target: Target) -> tuple[str, ...]:
    """Returns why `target` does not run the whole file, one reason each; nothing if it does.

    An operator is called by its place in the file and its name, such as "3_conv_2d". An activation that is
    the only reader of a convolution is called "prelu after 3_conv_2d". What holds for all of them is said of
    "every operator".

    Raises:
      InputError: the file cannot be read, is no TFLite model, or is damaged.
    """
    try:
        layers = layers_from_tflite(path)
    except UnsupportedError as error:
        return (str(error).rstrip("."),)
    by_reason: dict[str, list[str]] = {}
    if several := find_batches(layers):
        by_reason["a batch of several images"] = several
    count = 0
    for layer in layers:
        for one in lower([layer], target):
            count += 1
            name = layer.name if one.op != layer.activation else f"{one.op} after {layer.name}"
            if one.flag:
                by_reason.setdefault(one.flag, []).append(name)
    return tuple(
        f"{'every operator' if len(names) == count else ', '.join(names)}: {reason}"
        for reason, names in by_reason.items()
    )


def check_accepted(path: str | os.PathLike[str], target: Target) -> None:
    """Checks that `target` runs the whole of the file.

    Raises:
      UnsupportedError: it refuses operators; they are named, with the reasons.
      InputError: as `layers_from_tflite`.
    """
    if reasons := list_refusals(path, target):
        raise UnsupportedError(f"{target.name} does not run {'; '.join(reasons)}.")


def check_latency(path: str | os.PathLike[str], target: Target, bound: float) -> float:
    """Returns the estimated milliseconds of a frame, which must be at most `bound`.

    Raises:
      InputError: the estimate is longer; or as `layers_from_tflite`.
    """
    milliseconds = 1e3 * estimate(layers_from_tflite(path), target).seconds
    if milliseconds > bound:
        raise InputError(
            f"the file is estimated to take {milliseconds:.2f} ms on {target.name}, more than the allowed "
            f"{bound:g} ms."
        )
    return milliseconds
