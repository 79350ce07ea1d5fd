"""A training step on this device beside what the device does at best; `benchmarks.accelerator` calls it.

    python -m benchmarks.accelerator_step step.json --traces traces

- **limits**: a large copy (bytes read and written) and large products of matrices. jax multiplies float32 in
  TF32 on NVIDIA's chips unless it is told otherwise; the error of a product against float64 shows what ran.
- **steps** of SESR-M5 on a batch of 32 crops of 64×64, drawn on the device: by dtype, by steps per call, and
  with several seeds as one batch of networks. The roofline is the longer of two times: the collapsed
  network's products by the measured peak of that dtype, and the fewest bytes by the measured bandwidth.
- **one step** as XLA compiled it: its own count of operations and bytes, and its memory.
- **a profile** of some steps: the kernels that take longest. The trace and the compiled program are kept.

The results are written after each measurement, so that nothing is lost when time is up.
"""

import argparse
import collections
import contextlib
import functools
import gzip
import json
import pathlib
import re
import statistics
import time
from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.steps import count_work
from sesr_jax.data import ImagePair, PoolFeed, make_pool
from sesr_jax.files import replace_file
from sesr_jax.models import network
from sesr_jax.train import base, make_supervised
from sesr_jax.train.state import stack_states
from sesr_jax.train.steps import compile_steps
from sesr_jax.train.trainer import AXIS

PRECISIONS = {
    "float32": ("float32", None),
    "float32, all bits": ("float32", "highest"),
    "bfloat16": ("bfloat16", None),
}
"""By name: the dtype of arrays, and the precision that jax is told for products."""

_TF32 = 1e-5
"""A product of float32 with a larger relative error did not use all bits."""


_LARGE = {
    "model": "sesr_m5",
    "options": {},
    "batch": 32,
    "crop": 64,
    "seeds": 8,
    "per_call": 100,
    "matrix": 8192,
    "stream": 2**28,
    "least": 0.5,
}
_SMALL = {
    "model": "sesr_m3",
    "options": {"blocks": 1, "features": 4, "expansion": 8},
    "batch": 2,
    "crop": 16,
    "seeds": 2,
    "per_call": 1,
    "matrix": 64,
    "stream": 1024,
    "least": 0.01,
}
"""What is measured: the side of matrices, the floats of the copy, the fewest seconds of each measurement."""


def main(argv: list[str] | None = None) -> None:
    """Parses `argv`, measures, and prints each result."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("results", type=pathlib.Path, help="the JSON file")
    parser.add_argument("--traces", type=pathlib.Path, required=True, help="a folder for traces")
    parser.add_argument("--small", action="store_true", help="seconds on a CPU, as a rehearsal")
    args = parser.parse_args(argv)
    vars(args).update(_SMALL if args.small else _LARGE)

    _, flops, traffic = count_work(args)
    found: dict[str, Any] = {
        "device": jax.devices()[0].device_kind,
        "platform": jax.default_backend(),
        "work": {"flops": flops, "bytes": traffic},
        "limits": {},
        "steps": {},
    }
    for name, values in _measure_all(args, found):
        print(f"{name}: {json.dumps(values)}", flush=True)
        with replace_file(args.results) as temporary:
            temporary.write_text(json.dumps(found, indent=1), encoding="utf-8")


def _measure_all(args: argparse.Namespace, found: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    """Puts each measurement into `found` and yields it, the most telling ones first."""
    limits, steps = found["limits"], found["steps"]
    most = args.per_call
    # Memory peaks only grow: what takes little comes first.
    for case in (("float32", 1, most), ("float32", args.seeds, most)):
        yield from _measure_steps(args, steps, *case)
    limits["bytes_per_second"] = _measure_bandwidth(args)
    for name, (dtype, precision) in PRECISIONS.items():
        with jax.default_matmul_precision(precision):
            limits[name] = _measure_product(args, jnp.dtype(dtype))
    yield "limits", limits
    found["profile"] = _profile(make_call(args, "float32", 1, most), args.traces)
    yield "profile", found["profile"]
    yield from _measure_steps(args, steps, "bfloat16", 1, most)
    for dtype in ("float32", "bfloat16"):
        found[f"compiled {dtype}"] = _describe_step(args, dtype, args.traces)
        yield f"compiled {dtype}", found[f"compiled {dtype}"]
    if args.small:
        return
    for case in (
        ("float32", 1, 1),
        ("bfloat16", args.seeds, most),
        ("float32, all bits", 1, most),
        ("float32", 1, 10),
    ):
        yield from _measure_steps(args, steps, *case)


def _measure_steps(
    args: argparse.Namespace, steps: dict[str, Any], name: str, seeds: int, per_call: int
) -> Iterator[tuple[str, Any]]:
    """Puts the time of a step of one case into `steps` and yields it."""
    case = f"{name}, {seeds} {'seed' if seeds == 1 else 'seeds'}, {per_call} per call"
    dtype, precision = PRECISIONS[name]
    with jax.default_matmul_precision(precision):
        call = make_call(args, dtype, seeds, per_call)
        start = time.perf_counter()
        call()
        compiled = time.perf_counter() - start
        seconds = statistics.median(_time(call, args.least)) / per_call
    steps[case] = {
        "precision": name,
        "seeds": seeds,
        "per_call": per_call,
        "seconds": seconds,
        "first_call_seconds": compiled,
        "peak_bytes_so_far": _read_peak(),
    }
    yield case, steps[case]


def _time(call: Callable[[], Any], least: float, repetitions: int = 5) -> list[float]:
    """Returns the seconds of each call, of which there are some and which last `least` seconds in all."""
    call()
    seconds: list[float] = []
    while len(seconds) < repetitions or sum(seconds) < least:
        start = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - start)
    return seconds


def _measure_bandwidth(args: argparse.Namespace) -> float:
    """Returns bytes per second, read and written, of ``x + 1`` over many floats in place."""
    increment = jax.jit(lambda x: x + 1, donate_argnums=0)
    values = jax.random.uniform(jax.random.key(0), (args.stream,))

    def call() -> None:
        nonlocal values
        values = jax.block_until_ready(increment(values))

    return 8 * args.stream / statistics.median(_time(call, args.least))


def _measure_product(args: argparse.Namespace, dtype: Any) -> dict[str, Any]:
    """Returns operations per second of a product of square matrices, and its error against float64."""
    side, keys = args.matrix, map(jax.random.key, (0, 1))
    a, b = (jax.random.normal(key, (side, side)).astype(dtype) for key in keys)
    product = jax.jit(jnp.matmul)
    seconds = statistics.median(_time(lambda: jax.block_until_ready(product(a, b)), args.least))
    some = slice(0, min(side, 64))
    exact = np.asarray(a[some], np.float64) @ np.asarray(b[:, some], np.float64)
    error = np.asarray(product(a, b)[some, some], np.float64) - exact
    relative = float(np.linalg.norm(error) / np.linalg.norm(exact))
    return {
        "flops_per_second": 2 * side**3 / seconds,
        "relative_error": relative,
        "uses_all_bits": dtype == jnp.float32 and relative < _TF32,
    }


def _make_parts(args: argparse.Namespace, dtype: str, seeds: int) -> tuple[Any, Any, Any]:
    """Returns trainer, feed and state of one network, or of several that are trained at once."""
    config = base()
    config.data.batch, config.dtype = args.batch, dtype
    keys = map(jax.random.key, range(seeds))
    nets = [network.init(args.model, scale=2, key=key, **args.options) for key in keys]
    trainer = make_supervised(nets[0].module, config)
    pixels = np.random.default_rng(0).integers(0, 256, (max(512, 2 * args.crop),) * 2, np.uint8)
    pool = make_pool([ImagePair(name="noise", hr=pixels)], scale=2, patch=args.crop)
    states = [trainer.init(net.variables) for net in nets]
    state = stack_states(states) if seeds > 1 else states[0]
    return trainer, PoolFeed(pool=pool, batch=args.batch), state


def make_call(
    args: argparse.Namespace, dtype: str, seeds: int, per_call: int
) -> Callable[[], None]:
    """Returns a function that does `per_call` steps of every seed and waits for them."""
    trainer, feed, state = _make_parts(args, dtype, seeds)
    compiled = functools.partial(compile_steps, seed=0) if seeds == 1 else _compile_together
    steps = compiled(trainer, feed, per_call=per_call)

    def call() -> None:
        nonlocal state
        state, metrics = steps(state, feed.pool, 0)
        jax.block_until_ready((state, metrics))

    return call


def _compile_together(trainer: Any, feed: Any, *, per_call: int) -> Callable[..., Any]:
    """Returns what `compile_steps` returns, for several runs as one batch of networks."""

    def steps(state: Any, pool: Any, rank: jax.Array) -> Any:
        phase = trainer.get_phase(state, 0)

        def step(state: Any, run: jax.Array) -> Any:
            key = jax.random.fold_in(jax.random.key(run), state.step)
            return trainer.update(state, feed.draw(pool, key, state.step, (rank, 1)), phase)

        axes = jax.tree.map(lambda _: 0, state).replace(step=None)
        count = len(jax.tree.leaves(state.variables)[0])
        several = jax.vmap(step, (axes, 0), (axes, 0))
        return jax.lax.scan(
            lambda state, _: several(state, jnp.arange(count)), state, None, length=per_call
        )

    mapped = jax.pmap(
        steps, axis_name=AXIS, in_axes=(None, None, 0), out_axes=None, donate_argnums=0
    )
    return lambda state, pool, done: mapped(state, pool, jnp.arange(1))


def _describe_step(args: argparse.Namespace, dtype: str, folder: pathlib.Path) -> dict[str, Any]:
    """Returns XLA's counts of one compiled step, whose program goes to `folder`."""
    trainer, feed, state = _make_parts(args, dtype, 1)
    phase = trainer.get_phase(state, 0)

    def step(state: Any, pool: Any, key: jax.Array, rank: jax.Array) -> Any:
        return trainer.update(state, feed.draw(pool, key, state.step, (rank, 1)), phase)

    mapped = jax.pmap(step, axis_name=AXIS, in_axes=(None, None, None, 0), out_axes=None)
    compiled = mapped.lower(state, feed.pool, jax.random.key(0), jnp.arange(1)).compile()
    with contextlib.suppress(NotImplementedError):
        folder.mkdir(parents=True, exist_ok=True)
        with gzip.open(folder / f"step_{dtype}.hlo.txt.gz", "wt", encoding="utf-8") as file:
            file.write(compiled.as_text() or "")
    costs, memory = compiled.cost_analysis() or {}, compiled.memory_analysis()
    costs = costs[0] if isinstance(costs, list) else costs
    return {
        "flops": costs.get("flops"),
        "bytes": costs.get("bytes accessed"),
        "temporary_bytes": getattr(memory, "temp_size_in_bytes", None),
    }


def _profile(call: Callable[[], None], folder: pathlib.Path) -> list[dict[str, Any]]:
    """Returns the kernels that take longest in one call; the trace goes to `folder`."""
    call()
    options = jax.profiler.ProfileOptions()
    options.python_tracer_level = 0
    folder.mkdir(parents=True, exist_ok=True)
    with jax.profiler.trace(str(folder), profiler_options=options):
        call()
    events: list[dict[str, Any]] = []
    for file in folder.rglob("*.trace.json.gz"):
        with gzip.open(file, "rt", encoding="utf-8") as content:
            events += json.load(content)["traceEvents"]
    return sum_kernels(events)


def sum_kernels(events: list[dict[str, Any]], count: int = 15) -> list[dict[str, Any]]:
    """Returns the kernels of a Chrome trace that take longest, each with its share of all their time.

    Kernels are what the threads of a GPU's streams or of XLA on a CPU ran.
    """
    threads = {
        (event["pid"], event["tid"])
        for event in events
        if event.get("name") == "thread_name"
        and re.match(r"Stream|tf_XLA|XLA", event["args"].get("name", ""))
        and not re.match(r"XLA (Ops|Modules)", event["args"]["name"])
    }
    seconds: collections.Counter[str] = collections.Counter()
    calls: collections.Counter[str] = collections.Counter()
    for event in events:
        if event.get("ph") == "X" and (event["pid"], event["tid"]) in threads:
            seconds[event["name"]] += event.get("dur", 0) / 1e6
            calls[event["name"]] += 1
    total = sum(seconds.values())
    return [
        {"kernel": name, "seconds": spent, "calls": calls[name], "share": spent / total}
        for name, spent in seconds.most_common(count)
        if total
    ]


def _read_peak() -> int | None:
    """Returns the most bytes that this process has had on the device; None where it does not count."""
    stats = jax.devices()[0].memory_stats() or {}
    return stats.get("peak_bytes_in_use")


if __name__ == "__main__":
    main()
