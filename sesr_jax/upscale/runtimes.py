"""Choosing what runs a network on a CPU: LiteRT, where it is installed, or XLA.

    upscaler = choose_upscaler(network)

LiteRT's kernels (XNNPACK) are faster than XLA's for the convolutions of small networks
(`python -m benchmarks.upscaling`), and take too much memory for very deep ones. The network becomes a TFLite
model in memory, as `sesr export` writes it, in a quarter of a second for each size of its input. Its pixels
are those of XLA within one 8-bit code.
"""

import contextlib
import dataclasses
import functools
import importlib
import importlib.util
import math
import os
import threading
from collections import defaultdict
from collections.abc import Iterator
from typing import Any, Literal, TypeAlias

import jax
import numpy as np

from sesr_jax.errors import InputError, find_reason, require_extra
from sesr_jax.export import Options, TFLiteModel, to_tflite
from sesr_jax.graph import SAMPLE_SIDE, Graph
from sesr_jax.models.network import Network
from sesr_jax.ops import SPECS
from sesr_jax.quant import find_points
from sesr_jax.upscale.fingerprints import fingerprint_network
from sesr_jax.upscale.threads import count_cores
from sesr_jax.upscale.upscaler import DEFAULT_TILE, Upscaler, from_network

Runtime: TypeAlias = Literal["auto", "xla", "litert"]
"""What runs a network: LiteRT, which is on the CPU, XLA, or, for "auto", the faster of the two."""

_PACKAGES = ("ai_edge_litert", "litert_converter")
_MOST_SIZES = 4

_SLOW = {"conv2d_transpose"}
"""Operations that XNNPACK lacks and LiteRT's other kernels take several times as long for as XLA."""

_POINTER_BYTES = 8
_MOST_POINTERS = 2**29
"""In bytes: XNNPACK keeps a pointer for each tap of each output pixel of every convolution, and has them once
for each core; RRDBNet of 23 blocks would take 1.9 GB for a tile. XLA has none."""


def choose_upscaler(network: Network, runtime: Runtime = "auto") -> Upscaler:
    """Returns the upscaler of a network on a runtime.

    Args:
      network: a trained network.
      runtime: "auto" takes LiteRT where jax runs on a CPU, the extra `export` is installed, and LiteRT has
        fast kernels for the network's operations and memory for its depth; otherwise, and for networks with
        ranges, XLA. "litert" runs the latter in INT8.

    Raises:
      InputError: LiteRT is asked for, and is not installed or cannot run the network.
    """
    if runtime == "litert":
        with require_extra("export", "running networks by LiteRT"):
            for package in _PACKAGES:
                importlib.import_module(package)
        return _run_by_litert(network)
    if runtime == "auto" and _suits_litert(network):
        with contextlib.suppress(InputError):
            return _run_by_litert(network)
    return from_network(network)


def _suits_litert(network: Network) -> bool:
    """Returns whether LiteRT is the faster way to the same pixels, in a memory like XLA's.

    An INT8 model rounds otherwise than `quant.fake` in places, which makes up to four codes.
    """
    if network.ranges is not None:
        return False
    if jax.default_backend() != "cpu" or not all(map(_is_installed, _PACKAGES)):
        return False
    side = SAMPLE_SIDE
    graph = network.collapse().trace((1, side, side, network.channels))
    if not _SLOW.isdisjoint(node.op for node in graph.nodes):
        return False
    return _count_pointer_bytes(graph) * (DEFAULT_TILE / side) ** 2 <= _MOST_POINTERS


def _count_pointer_bytes(graph: Graph) -> int:
    """Returns the bytes of XNNPACK's pointers at the size for which the graph was traced."""
    taps = (
        math.prod(node.parameters[0].shape[:2]) * math.prod(node.shape[:3])
        for node in graph.nodes
        if SPECS[node.op].kind == "convolution"
    )
    return _POINTER_BYTES * sum(taps)


def _is_installed(package: str) -> bool:
    return importlib.util.find_spec(package) is not None


def _run_by_litert(network: Network) -> Upscaler:
    """Returns the upscaler that runs the network by LiteRT.

    Raises:
      InputError: a TFLite model cannot hold the network.
    """
    network = network.collapse()
    upscaler, models = from_network(network), _Models(network)
    side = DEFAULT_TILE - DEFAULT_TILE % upscaler.extent.align
    with _hush():
        models.load((1, side, side, network.channels))
    return dataclasses.replace(
        upscaler,
        function=functools.partial(models.run, threads=count_cores()),
        concurrent=functools.partial(models.run, threads=1),
        release=models.release,
        fingerprint=functools.partial(fingerprint_network, network, "litert"),
    )


class _Models:
    """The TFLite models of a network by the shape of their input, of which each call takes one for itself."""

    def __init__(self, network: Network) -> None:
        self._network = network
        self._lock = threading.Lock()
        self._contents: dict[tuple[int, ...], bytes] = {}
        self._idle: dict[tuple[tuple[int, ...], int], list[TFLiteModel]] = defaultdict(list)

    def run(self, x: Any, *, threads: int) -> np.ndarray:
        """Returns the network's output for `x`, computed by that many threads."""
        x = np.asarray(x, np.float32)
        with self._lock:
            content, idle = self._convert(x.shape), self._idle[x.shape, threads]
            model = idle.pop() if idle else None
        model = model or TFLiteModel(content, num_threads=threads)
        y = model(x)
        with self._lock:
            if x.shape in self._contents:
                self._idle[x.shape, threads].append(model)
        return y

    def release(self) -> None:
        """Forgets the models that no call is using, which take about 50 MB each; they are made again."""
        with self._lock:
            self._idle.clear()

    def load(self, shape: tuple[int, ...]) -> None:
        """Makes a model for a shape, which shows whether there can be one.

        Raises:
          InputError: there can be none.
        """
        self._idle[shape, 1].append(TFLiteModel(self._convert(shape), num_threads=1))

    def _convert(self, shape: tuple[int, ...]) -> bytes:
        if shape not in self._contents:
            if len(self._contents) == _MOST_SIZES:
                self._contents.clear()
                self._idle.clear()
            self._contents[shape] = _convert(self._network, shape)
        return self._contents[shape]


def _convert(network: Network, shape: tuple[int, ...]) -> bytes:
    """Returns the TFLite model of a collapsed network for one shape of its input.

    Raises:
      InputError: a TFLite model cannot hold the network.
    """
    graph, ranges = network.trace(shape), network.ranges
    options = Options(precision="float32", converter="litert")
    if ranges is not None:
        if network.scheme.activations != "int8":
            raise InputError(
                f"{network.title} has activations of {network.scheme.activations}: LiteRT runs int8."
            )
        options = Options(exclude=network.scheme.exclude, converter="litert")
        ranges = {**ranges, **find_points(graph, network.scheme).fixed}
    try:
        return to_tflite(graph, ranges=ranges, options=options)
    except InputError:
        raise
    except Exception as error:  # of the converter, which has no class of its own
        raise InputError(f"LiteRT cannot run {network.title} ({find_reason(error)}).") from error


@contextlib.contextmanager
def _hush() -> Iterator[None]:
    """Keeps a block, in which LiteRT tells once that it uses XNNPACK, from writing to standard error."""
    kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)
