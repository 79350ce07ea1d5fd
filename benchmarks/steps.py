"""Measures a training step of SESR beside the same step elsewhere, on this machine.

    python -m benchmarks.steps
    python -m benchmarks.steps --arm ../sesr --repetitions 15 --json steps.json
    python -m benchmarks.steps --only parts     # where a step's time goes

- **steps**: forward, backward and AMSGrad. Ours draw their crops too; the others are handed one batch.
  PyTorch's network was written for this, in the way that its users write it: kernels collapsed in every
  step. ``--arm`` is a copy of Arm's SESR code, which runs unchanged under TensorFlow.
- **crops** per second: random crops with their flips and turns, by our pool and by a DataLoader.
- **parts** of our step, and its convolutions one by one, by ours, by XLA's own and by PyTorch.

Every contestant is a process of its own, whose peak memory is read, and they take turns (A B A B …), so
that other work on the machine weighs on all alike; figures are medians, with the least in brackets.
FLOP/s count the collapsed network's products, twice as many backward as forward, whatever the contestant
computes; the peak beside them is that of a large product of matrices on this machine.
"""

import argparse
import importlib.util
import json
import os
import pathlib
import platform
import statistics
from collections.abc import Callable
from typing import Any

from benchmarks import rivals
from benchmarks.race import Functions, race
from benchmarks.rivals import SEED, WAYS, list_distinct_layers, make_image

# A contestant's process imports this module: jax, PyTorch and TensorFlow are for those that need them.


def main(argv: list[str] | None = None) -> None:
    """Parses `argv`, measures, and prints tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", default="sesr_m5", help="of ours and PyTorch; %(default)s")
    parser.add_argument("--batch", type=int, default=32, help="default %(default)s")
    parser.add_argument("--crop", type=int, default=64, help="default %(default)s")
    parser.add_argument("--dtype", default="float32", help="of our activations; or bfloat16")
    parser.add_argument("--arm", type=pathlib.Path, help="a copy of github.com/ARM-software/sesr")
    parser.add_argument("--only", choices=("steps", "crops", "parts"), help="one of the tables")
    parser.add_argument(
        "--step",
        action="append",
        choices=[name for name in _CONTESTANTS["steps"] if name not in (_OURS, _LIMITS)],
        help="which stand beside our collapsed one; repeatable; all by default",
    )
    parser.add_argument("--repetitions", type=int, default=9, help="turns; default %(default)s")
    parser.add_argument("--json", type=pathlib.Path, help="also write the results there")
    args = parser.parse_args(argv)

    tables = [args.only] if args.only else ["steps", "crops", "parts"]
    torch = importlib.util.find_spec("torch") is not None
    if not torch:
        print("PyTorch is not installed, so that nothing of it is measured: pip install torch.")
    if args.arm is None:
        print("Arm's steps are not measured: give a copy of its code by --arm.")
    args.layers, args.flops, args.traffic = count_work(args)
    results = {}
    for table in tables:
        names = [
            name
            for name in _CONTESTANTS[table]
            if ("PyTorch" not in name or torch)
            and ("Arm" not in name or args.arm)
            and (table != "steps" or not args.step or name in (_OURS, _LIMITS, *args.step))
        ]
        results[table] = race({name: _CONTESTANTS[table][name] for name in names}, args)

    print(
        f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores, load "
        f"{os.getloadavg()[0]:.1f}; {args.model}, batch {args.batch} of {args.crop}×{args.crop}, "
        f"{args.dtype}; {args.repetitions} turns"
    )
    for table, found in results.items():
        print(f"\n{_TABLES[table](found, args)}")
    if args.json:
        from sesr_jax.files import write_file

        write_file(args.json, json.dumps(results, indent=2))


def _config(args: argparse.Namespace) -> Any:
    from sesr_jax import train

    config = train.base()
    config.data.batch, config.dtype, config.steps_per_call = args.batch, args.dtype, 1
    return config


def _pool(args: argparse.Namespace) -> Any:
    from sesr_jax.data.pool import make_pool
    from sesr_jax.data.sources import ImagePair

    side = max(512, 2 * args.crop)
    image = ImagePair(name="generated", hr=make_image()[:side, :side])
    return make_pool([image], scale=2, patch=args.crop)


def _ours(
    args: argparse.Namespace, *, mode: str = "collapsed", quantised: bool = False
) -> Functions:
    import jax
    import jax.numpy as jnp

    from sesr_jax import graph, quant
    from sesr_jax.data import PoolFeed
    from sesr_jax.models import create
    from sesr_jax.reparam.cost import make_photo_noise
    from sesr_jax.train import make_supervised
    from sesr_jax.train.steps import compile_steps

    config = _config(args)
    module = create(args.model, scale=2, mode=mode)
    variables = module.init(jax.random.key(SEED), jnp.zeros((1, 8, 8, 1)))
    if quantised:
        shape = (1, args.crop, args.crop, 1)
        ranges = quant.calibrate(graph.trace(module, variables, shape), [make_photo_noise(shape)])
        variables = {
            **variables,
            quant.RANGES: {group: jnp.asarray(ends) for group, ends in ranges.items()},
        }
    trainer, feed = make_supervised(module, config), PoolFeed(pool=_pool(args), batch=args.batch)
    steps = compile_steps(trainer, feed, seed=config.seed, per_call=1)
    state = trainer.init(variables)

    def step() -> None:
        nonlocal state
        state, metrics = steps(state, feed.pool, 0)
        jax.block_until_ready(metrics)

    return {"step": step}


def _ours_expanded(args: argparse.Namespace) -> Functions:
    return _ours(args, mode="expanded")


def _ours_quantised(args: argparse.Namespace) -> Functions:
    return _ours(args, quantised=True)


def _ours_before(args: argparse.Namespace) -> Functions:
    """Returns our collapsed step by the convolutions that XLA chooses, a whole batch at once."""
    from sesr_jax.train import cpu

    cpu.is_fast = lambda _: False  # in this process alone
    return _ours(args)


def _our_crops(args: argparse.Namespace) -> Functions:
    import jax

    from sesr_jax.data.pool import sample

    pool, key = _pool(args), jax.random.key(SEED)
    draw = jax.jit(lambda pool, key: sample(pool, key, args.batch))
    return {"batch": lambda: jax.block_until_ready(draw(pool, key))}


def _our_parts(args: argparse.Namespace) -> Functions:
    import jax
    import jax.numpy as jnp

    from sesr_jax.data import Batch
    from sesr_jax.models import create
    from sesr_jax.reparam import collapse
    from sesr_jax.train.cpu import make_gradient, with_fast_convolutions
    from sesr_jax.train.objective import Phase, make_objective
    from sesr_jax.train.optim import make_optimizer

    config = _config(args)
    module, tx = create(args.model, scale=2), make_optimizer(config)
    objective, phase = make_objective(module, config), Phase(by_batch=False, moving=False)
    variables = module.init(jax.random.key(SEED), jnp.zeros((1, 8, 8, 1)))
    state = tx.init(variables)
    lr, hr = (
        jax.random.uniform(jax.random.key(s), (args.batch, s * args.crop, s * args.crop, 1))
        for s in (1, 2)
    )
    batch = Batch(lr=lr, hr=hr)
    fast = with_fast_convolutions(lambda v: objective(v, batch, phase)[0])
    in_chunks = make_gradient(objective, module, jnp.dtype(args.dtype))
    parts = {
        "collapse": (lambda v: collapse(v["params"]), (variables,)),
        "forward": (lambda v: objective(v, batch, phase)[0], (variables,)),
        "forward, backward": (jax.grad(fast), (variables,)),
        "forward, backward, in chunks": (lambda v: in_chunks(v, batch, phase)[1], (variables,)),
        "AMSGrad": (lambda v, s: tx.update(v, s, v), (variables, state)),
    }
    return {name: _compile(*part) for name, part in parts.items()} | _our_crops(args)


def _compile(function: Callable[..., Any], arguments: tuple[Any, ...]) -> Callable[[], Any]:
    import jax

    jitted = jax.jit(function)
    return lambda: jax.block_until_ready(jitted(*arguments))


def _convolutions(args: argparse.Namespace, *, ours: bool = True) -> Functions:
    """Returns each layer's forward pass, as in training, and its gradients to input and kernel."""
    import jax
    import jax.numpy as jnp
    from jax import lax

    from sesr_jax.train import convolution

    def convolve(x: jax.Array, kernel: jax.Array) -> jax.Array:
        if ours:
            side = kernel.shape[0] // 2
            return convolution.convolve(x, kernel, ((side, side), (side, side)))
        return lax.conv_general_dilated(
            x, kernel, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")
        )

    functions: Functions = {}
    for name, (size, inputs, features) in list_distinct_layers(args).items():
        x, y = (
            jax.random.normal(jax.random.key(SEED), (args.batch, args.crop, args.crop, c))
            for c in (inputs, features)
        )
        kernel = jnp.ones((size, size, inputs, features))
        ways = (
            lambda x, k, y: jax.vjp(convolve, x, k)[0],
            lambda x, k, y: jax.vjp(convolve, x, k)[1](y)[0],
            lambda x, k, y: jax.vjp(convolve, x, k)[1](y)[1],
        )
        for way, function in zip(WAYS, ways, strict=True):
            functions[f"{name}: {way}"] = _compile(function, (x, kernel, y))
    return functions


def _xla_convolutions(args: argparse.Namespace) -> Functions:
    return _convolutions(args, ours=False)


def _limits(_: argparse.Namespace) -> Functions:
    """Returns what the machine does at best: a product of large matrices, and a sum from memory to memory."""
    import jax
    import jax.numpy as jnp

    a, b = jnp.ones((_MATRIX, _MATRIX)), jnp.ones(_STREAM)
    increment = jax.jit(lambda x: x + 1, donate_argnums=0)  # in place: new memory costs page faults

    def stream() -> None:
        nonlocal b
        b = jax.block_until_ready(increment(b))

    return {"product": _compile(jnp.matmul, (a, a)), "stream": stream}


_MATRIX, _STREAM = 2048, 2**26

_OURS = "ours, collapsed"
_LIMITS = "limits"

_CONTESTANTS: dict[str, dict[str, Callable[[argparse.Namespace], Functions]]] = {
    "steps": {
        _OURS: _ours,
        "ours, by XLA's convolutions": _ours_before,
        "ours, expanded": _ours_expanded,
        "ours, quantised (QAT)": _ours_quantised,
        "PyTorch, eager": rivals.torch_step,
        "PyTorch, compiled": rivals.torch_compiled,
        "PyTorch, channels last, eager": rivals.torch_last,
        "PyTorch, channels last, compiled": rivals.torch_last_compiled,
        "Arm's Keras, collapsed": rivals.arm_step,
        "Arm's Keras, expanded": rivals.arm_expanded,
        _LIMITS: _limits,
    },
    "crops": {"our pool": _our_crops, "PyTorch's DataLoader": rivals.torch_crops},
    "parts": {
        "step": _our_parts,
        "ours": _convolutions,
        "XLA's own": _xla_convolutions,
        "PyTorch": rivals.torch_convolutions,
    },
}


def _format_milliseconds(seconds: list[float]) -> str:
    return f"{statistics.median(seconds) * 1e3:.1f} ({min(seconds) * 1e3:.1f})"


def _format_steps(found: dict[str, Any], args: argparse.Namespace) -> str:
    from sesr_jax.report import format_table

    flops, traffic = args.flops, args.traffic
    limits = {name: min(times) for name, times in found[_LIMITS]["seconds"].items()}
    peak = 2 * _MATRIX**3 / limits["product"]
    bandwidth = 2 * 4 * _STREAM / limits["stream"]
    medians = {
        name: statistics.median(value["seconds"]["step"])
        for name, value in found.items()
        if name != _LIMITS
    }
    rows = [
        (
            name,
            _format_milliseconds(found[name]["seconds"]["step"]),
            f"{seconds / medians[_OURS]:.2f}×",
            f"{flops / seconds / 1e9:.0f}",
            f"{flops / seconds / peak:.0%}",
            f"{found[name]['peak_bytes'] / 2**20:.0f}",
        )
        for name, seconds in medians.items()
    ]
    header = ["step", "ms (least)", "of ours", "GFLOP/s", "of peak", "MiB over imports"]
    bound = max(flops / peak, traffic / bandwidth)
    return (
        f"{format_table(rows, header)}\n\n"
        f"{flops / 1e9:.1f} GFLOP and {traffic / 2**20:.0f} MiB per step; peak {peak / 1e9:.0f} GFLOP/s, "
        f"{bandwidth / 1e9:.0f} GB/s. A roofline of both allows {bound * 1e3:.1f} ms: ours reach "
        f"{bound / medians[_OURS]:.0%} of it."
    )


def count_work(args: argparse.Namespace) -> tuple[list[tuple[int, int, int]], float, float]:
    """Returns (kernel size, in, out) of the convolutions, and a step's operations and bytes.

    Each convolution reads an image and writes one: forward, to its input and to its kernel; what lies
    between two of them is taken to cost nothing. The first has no gradient to its input.
    """
    import jax
    import jax.numpy as jnp

    from sesr_jax import graph
    from sesr_jax.graph.cost import macs
    from sesr_jax.models import create

    module = create(args.model, scale=2, **getattr(args, "options", {}))
    variables = module.init(jax.random.key(SEED), jnp.zeros((1, 8, 8, 1)))
    nodes = graph.trace(module, variables, (args.batch, args.crop, args.crop, 1)).nodes
    convolutions = [node for node in nodes if node.op == "conv2d"]
    layers = [node.parameters[0].shape[1:] for node in convolutions]
    pixels = args.batch * args.crop**2
    products = [macs(node) for node in convolutions]
    values = [pixels * (inputs + outputs) for _, inputs, outputs in layers]
    return layers, 2.0 * (3 * sum(products) - products[0]), 4.0 * (3 * sum(values) - values[0])


def _format_crops(found: dict[str, Any], args: argparse.Namespace) -> str:
    from sesr_jax.report import format_table

    rows = [
        (name, _format_milliseconds(times), f"{args.batch / statistics.median(times):.0f}")
        for name, times in ((name, value["seconds"]["batch"]) for name, value in found.items())
    ]
    return format_table(rows, ["crops", "ms per batch (least)", "crops per second"])


def _format_parts(found: dict[str, Any], args: argparse.Namespace) -> str:
    from sesr_jax.report import format_table

    parts = [
        (name, _format_milliseconds(times)) for name, times in found["step"]["seconds"].items()
    ]
    makers = [name for name in found if name != "step"]
    rows = [
        (function, *(_format_milliseconds(found[maker]["seconds"][function]) for maker in makers))
        for function in found["ours"]["seconds"]
    ]
    return (
        f"{format_table(parts, ['part of our step', 'ms (least)'])}\n\n"
        f"{format_table(rows, ['one convolution, ms (least)', *makers])}"
    )


_TABLES = {"steps": _format_steps, "crops": _format_crops, "parts": _format_parts}


if __name__ == "__main__":
    main()
