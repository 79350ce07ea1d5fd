"""A training step of SESR beside the same step elsewhere, on this machine.

    python -m benchmarks.steps
    python -m benchmarks.steps --arm ../sesr --repetitions 15 --json steps.json
    python -m benchmarks.steps --only parts     # where a step's time goes

- **steps**: forward, backward and AMSGrad. Ours draw their crops too; the others are handed one batch.
  PyTorch's network was written for this, in the way that its users write it: kernels collapsed in every
  step. ``--arm`` is a copy of Arm's SESR code, which runs unchanged under TensorFlow.
- **crops** a second: random crops with their flips and turns, by our pool and by a DataLoader.
- **parts** of our step, and its convolutions one by one, by ours, by XLA's own and by PyTorch.

Every contestant is a process of its own, whose peak memory is read, and they take turns (A B A B …), so
that other work on the machine weighs on all alike; figures are medians, with the least in brackets.
FLOP/s count the collapsed network's products, twice as many backward as forward, whatever the contestant
computes; the peak beside them is that of a large product of matrices on this machine.
"""

import argparse
import contextlib
import importlib.util
import json
import multiprocessing
import os
import pathlib
import platform
import resource
import statistics
import sys
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection
from typing import Any

# A contestant's process imports this module: jax, PyTorch and TensorFlow are for those that need them.

Functions = dict[str, Callable[[], Any]]

_SEED = 0


def main(argv: list[str] | None = None) -> None:
    """Parses `argv`, measures, and prints tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", default="sesr_m5", help="of ours and PyTorch; %(default)s")
    parser.add_argument("--batch", type=int, default=32, help="default %(default)s")
    parser.add_argument("--patch", type=int, default=64, help="default %(default)s")
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
    args.layers, args.flops, args.traffic = _work(args)
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
        f"{os.getloadavg()[0]:.1f}; {args.model}, batch {args.batch} of {args.patch}×{args.patch}, "
        f"{args.dtype}; {args.repetitions} turns"
    )
    for table, found in results.items():
        print(f"\n{_TABLES[table](found, args)}")
    if args.json:
        from sesr_jax.files import replace_file

        with replace_file(args.json) as temporary:
            temporary.write_text(json.dumps(results, indent=2), encoding="utf-8")


def race(
    contestants: dict[str, Callable[[argparse.Namespace], Functions]], args: argparse.Namespace
) -> dict[str, Any]:
    """By contestant and function: the seconds of every run, and the contestant's peak memory."""
    found: dict[str, Any] = {}
    with contextlib.ExitStack() as stack:
        lines = {
            name: stack.enter_context(_process(make, args)) for name, make in contestants.items()
        }
        functions = {name: _receive(line) for name, line in lines.items()}
        for name, names in functions.items():
            found[name] = {"seconds": {function: [] for function in names}}
        for _ in range(args.repetitions):
            for name, line in lines.items():
                for function in functions[name]:
                    line.send(function)
                    found[name]["seconds"][function] += _receive(line)
        for name, line in lines.items():
            line.send(None)
            found[name]["peak_bytes"] = _receive(line)
    return found


@contextlib.contextmanager
def _process(
    make: Callable[[argparse.Namespace], Functions], args: argparse.Namespace
) -> Iterator[Connection]:
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    # A DataLoader has children of its own, which a daemon may not have.
    process = context.Process(target=_serve, args=(there, make, args))
    process.start()
    there.close()
    try:
        yield here
    finally:
        here.close()
        process.join()


def _receive(line: Connection) -> Any:
    found = line.recv()
    if isinstance(found, Exception):
        raise found
    return found


def _serve(
    line: Connection, make: Callable[[argparse.Namespace], Functions], args: argparse.Namespace
) -> None:
    """Makes a contestant's functions, runs each once, and from then on takes a turn at every request."""
    try:
        functions = make(args)
        from benchmarks.timing import turn  # it brings jax, which is no contestant's memory

        before = _peak()
        for function in functions.values():
            function()
            function()
        line.send(list(functions))
    except Exception as error:
        line.send(RuntimeError(f"{type(error).__name__}: {error}"))
        raise
    with contextlib.suppress(EOFError, OSError):  # the parent has given up
        while (name := line.recv()) is not None:
            functions[
                name
            ]()  # wakes its threads and fills its caches, as the step before does in a run
            line.send(turn(functions[name]))
        line.send(_peak() - before)


def _peak() -> int:
    """The most bytes that this process has had in memory."""
    status = pathlib.Path("/proc/self/status")
    if not status.exists():
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    # What Linux counts as the usage's peak began in the parent.
    (line,) = (line for line in status.read_text().splitlines() if line.startswith("VmHWM:"))
    return int(line.split()[1]) * 1024


# Ours.


def _config(args: argparse.Namespace) -> Any:
    from sesr_jax import train

    config = train.base()
    config.data.batch, config.dtype, config.steps_per_call = args.batch, args.dtype, 1
    return config


def _image() -> Any:
    from sesr_jax.reparam.cost import photo_like

    return (photo_like((1, 512, 512, 3))[0] * 255).astype("uint8")


def _pool(args: argparse.Namespace) -> Any:
    from sesr_jax.data.pool import make_pool
    from sesr_jax.data.sources import ImagePair

    side = max(512, 2 * args.patch)
    picture = ImagePair(name="generated", hr=_image()[:side, :side])
    return make_pool([picture], scale=2, patch=args.patch)


def _ours(
    args: argparse.Namespace, *, mode: str = "collapsed", quantised: bool = False
) -> Functions:
    import jax
    import jax.numpy as jnp

    from sesr_jax import graph, quant
    from sesr_jax.models import create
    from sesr_jax.reparam.cost import photo_like
    from sesr_jax.train.optim import optimizer
    from sesr_jax.train.state import init_state
    from sesr_jax.train.step import make_steps

    config = _config(args)
    module = create(args.model, scale=2, mode=mode)
    variables = module.init(jax.random.key(_SEED), jnp.zeros((1, 8, 8, 1)))
    if quantised:
        shape = (1, args.patch, args.patch, 1)
        ranges = quant.calibrate(graph.trace(module, variables, shape), [photo_like(shape)])
        variables = {
            **variables,
            quant.RANGES: {group: jnp.asarray(ends) for group, ends in ranges.items()},
        }
    tx = optimizer(config)
    steps, pool, state = make_steps(module, tx, config), _pool(args), init_state(variables, tx)

    def step() -> None:
        nonlocal state
        state, losses = steps(state, pool, 0)
        jax.block_until_ready(losses)

    return {"step": step}


def _ours_expanded(args: argparse.Namespace) -> Functions:
    return _ours(args, mode="expanded")


def _ours_quantised(args: argparse.Namespace) -> Functions:
    return _ours(args, quantised=True)


def _ours_before(args: argparse.Namespace) -> Functions:
    """Our collapsed step by the convolutions that XLA chooses, a whole batch at once."""
    from sesr_jax.train import cpu

    cpu.is_fast = lambda _: False  # in this process alone
    return _ours(args)


def _our_crops(args: argparse.Namespace) -> Functions:
    import jax

    from sesr_jax.data.pool import sample

    pool, key = _pool(args), jax.random.key(_SEED)
    draw = jax.jit(lambda pool, key: sample(pool, key, args.batch))
    return {"batch": lambda: jax.block_until_ready(draw(pool, key))}


# PyTorch's.


def torch_network(terms: list[Any], slopes: list[Any], *, channels_last: bool = False) -> Any:
    """SESR at ×2 as a PyTorch function of ``[N, 1, H, W]``, collapsed in every call, and its parameters.

    Args:
      terms: of head, blocks and tail: k×k kernel ``[p, in, k, k]``, its bias, 1×1 kernel ``[out, p]``, bias.
      slopes: of the blocks' PReLUs.
      channels_last: the layout of kernels and images.
    """
    import torch
    from torch.nn import functional

    parameters = [[p.clone().requires_grad_() for p in term] for term in terms]
    slopes = [slope.clone().requires_grad_() for slope in slopes]
    layout = torch.channels_last if channels_last else torch.contiguous_format

    def convolve(x: Any, term: list[Any], residual: bool) -> Any:
        wide, wide_bias, narrow, bias = term
        kernel = torch.einsum("op,pikl->oikl", narrow, wide)
        if residual:
            side = kernel.shape[-1] // 2
            kernel = kernel + functional.pad(torch.eye(len(kernel))[:, :, None, None], (side,) * 4)
        bias = bias + narrow @ wide_bias
        return functional.conv2d(x, kernel.contiguous(memory_format=layout), bias, padding="same")

    def network(x: Any) -> Any:
        x = x.contiguous(memory_format=layout)
        shallow = h = convolve(x - 128 / 255, parameters[0], False)
        for term, slope in zip(parameters[1:-1], slopes, strict=True):
            h = functional.prelu(convolve(h, term, True), slope)
        return functional.pixel_shuffle(convolve(h + shallow, parameters[-1], False) + x, 2)

    return network, [p for term in parameters for p in term] + slopes


def _torch_parameters(args: argparse.Namespace) -> tuple[list[Any], list[Any]]:
    import torch

    generator = torch.Generator().manual_seed(_SEED)

    def normal(*shape: int) -> Any:
        return torch.randn(*shape, generator=generator) / 16

    terms = [
        [normal(256, i, k, k) / k, torch.zeros(256), normal(o, 256), torch.zeros(o)]
        for k, i, o in args.layers
    ]
    return terms, [torch.full((o,), 0.25) for _, _, o in args.layers[1:-1]]


def _torch(
    args: argparse.Namespace, *, compiled: bool = False, channels_last: bool = False
) -> Functions:
    import torch

    torch.manual_seed(_SEED)
    network, parameters = torch_network(*_torch_parameters(args), channels_last=channels_last)
    optimizer = torch.optim.Adam(parameters, lr=5e-4, amsgrad=True)
    lr, hr = (torch.rand(args.batch, 1, s * args.patch, s * args.patch) for s in (1, 2))

    def loss(lr: Any, hr: Any) -> Any:
        return (network(lr) - hr).abs().mean()

    run = torch.compile(loss) if compiled else loss

    def step() -> None:
        optimizer.zero_grad()
        run(lr, hr).backward()
        optimizer.step()

    return {"step": step}


def _torch_compiled(args: argparse.Namespace) -> Functions:
    return _torch(args, compiled=True)


def _torch_last(args: argparse.Namespace) -> Functions:
    return _torch(args, channels_last=True)


def _torch_last_compiled(args: argparse.Namespace) -> Functions:
    return _torch(args, compiled=True, channels_last=True)


def _torch_crops(args: argparse.Namespace) -> Functions:
    """A DataLoader in the process itself: on few cores its workers only take turns with it."""
    import torch
    from torch.utils.data import DataLoader, Dataset

    hr = torch.from_numpy(_image()).permute(2, 0, 1).contiguous()
    lr, patch = hr[:, ::2, ::2].contiguous(), args.patch

    class Crops(Dataset):  # type: ignore[misc, type-arg]
        def __len__(self) -> int:
            return args.batch

        def __getitem__(self, _: int) -> tuple[Any, Any]:
            y, x = (int(torch.randint(size - patch + 1, ())) for size in lr.shape[1:])
            symmetry = int(torch.randint(8, ()))
            crops = (
                image[:, s * y : s * (y + patch), s * x : s * (x + patch)]
                for image, s in ((lr, 1), (hr, 2))
            )
            return tuple(self._turn(crop, symmetry) for crop in crops)  # type: ignore[return-value]

        def _turn(self, crop: Any, symmetry: int) -> Any:
            flips = [axis + 1 for axis in (0, 1) if symmetry >> axis & 1]
            crop = crop.flip(flips) if flips else crop
            return (crop.transpose(1, 2) if symmetry & 4 else crop).float() / 255

    loader = DataLoader(Crops(), batch_size=args.batch)
    return {"batch": lambda: list(loader)}


# Arm's.


def _arm(args: argparse.Namespace, *, block: str = "LinearBlock_c") -> Functions:
    sys.path.insert(0, str(args.arm))
    import tensorflow as tf

    tf.compat.v1.flags.DEFINE_integer("scale", 2, "which Arm's training script defines")
    from models import model_utils, sesr

    tf.compat.v1.flags.FLAGS(["steps"])
    network = sesr.SESR(
        m=5,
        feature_size=256,
        LinearBlock_fn=getattr(model_utils, block),
        quant_W=False,
        quant_A=False,
        gen_tflite=False,
        mode="train",
    )
    optimizer = tf.keras.optimizers.Adam(learning_rate=2e-4, amsgrad=True)
    network.compile(optimizer=optimizer, loss="mae")
    lr, hr = (tf.random.uniform((args.batch, s * args.patch, s * args.patch, 1)) for s in (1, 2))
    return {"step": lambda: network.train_on_batch(lr, hr)}


def _arm_expanded(args: argparse.Namespace) -> Functions:
    return _arm(args, block="LinearBlock_e")


# Parts of a step, and convolutions one by one.


def _distinct(args: argparse.Namespace) -> dict[str, tuple[int, int, int]]:
    """(kernel size, in, out) of the collapsed network's distinct convolutions."""
    return {f"{k}×{k}, {i}→{o}": (k, i, o) for k, i, o in args.layers}


_WAYS = ("forward", "to input", "to kernel")


def _our_parts(args: argparse.Namespace) -> Functions:
    import jax
    import jax.numpy as jnp

    from sesr_jax.models import create
    from sesr_jax.reparam import collapse
    from sesr_jax.train.cpu import make_gradient, with_fast_convolutions
    from sesr_jax.train.objective import Phase, make_objective
    from sesr_jax.train.optim import optimizer

    config = _config(args)
    module, tx = create(args.model, scale=2), optimizer(config)
    objective, phase = make_objective(module, config), Phase(by_batch=False, moving=False)
    variables = module.init(jax.random.key(_SEED), jnp.zeros((1, 8, 8, 1)))
    state = tx.init(variables)
    lr, hr = (
        jax.random.uniform(jax.random.key(s), (args.batch, s * args.patch, s * args.patch, 1))
        for s in (1, 2)
    )
    fast = with_fast_convolutions(lambda v: objective(v, lr, hr, phase)[0])
    in_chunks = make_gradient(objective, module, jnp.dtype(args.dtype))
    parts = {
        "collapse": (lambda v: collapse(v["params"]), (variables,)),
        "forward": (lambda v: objective(v, lr, hr, phase)[0], (variables,)),
        "forward, backward": (jax.grad(fast), (variables,)),
        "forward, backward, in chunks": (lambda v: in_chunks(v, lr, hr, phase)[1], (variables,)),
        "AMSGrad": (lambda v, s: tx.update(v, s, v), (variables, state)),
    }
    return {name: _compiled(*part) for name, part in parts.items()} | _our_crops(args)


def _compiled(function: Callable[..., Any], arguments: tuple[Any, ...]) -> Callable[[], Any]:
    import jax

    jitted = jax.jit(function)
    return lambda: jax.block_until_ready(jitted(*arguments))


def _convolutions(args: argparse.Namespace, *, ours: bool = True) -> Functions:
    """Each layer forward (as in training), to its input and to its kernel."""
    import jax
    import jax.numpy as jnp
    from jax import lax

    from sesr_jax.train import convolution

    def convolve(x: jax.Array, kernel: jax.Array) -> jax.Array:
        if ours:
            return convolution.convolve(x, kernel, ((size // 2,) * 2,) * 2)
        return lax.conv_general_dilated(
            x, kernel, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")
        )

    functions: Functions = {}
    for name, (size, inputs, features) in _distinct(args).items():
        x, y = (
            jax.random.normal(jax.random.key(_SEED), (args.batch, args.patch, args.patch, c))
            for c in (inputs, features)
        )
        kernel = jnp.ones((size, size, inputs, features))
        ways = (
            lambda x, k, y: jax.vjp(convolve, x, k)[0],
            lambda x, k, y: jax.vjp(convolve, x, k)[1](y)[0],
            lambda x, k, y: jax.vjp(convolve, x, k)[1](y)[1],
        )
        for way, function in zip(_WAYS, ways, strict=True):
            functions[f"{name}: {way}"] = _compiled(function, (x, kernel, y))
    return functions


def _xla_convolutions(args: argparse.Namespace) -> Functions:
    return _convolutions(args, ours=False)


def _torch_convolutions(args: argparse.Namespace) -> Functions:
    import torch
    from torch.nn import functional

    functions: Functions = {}
    for name, (size, inputs, features) in _distinct(args).items():
        x, y = (torch.rand(args.batch, c, args.patch, args.patch) for c in (inputs, features))
        kernel, sides = torch.rand(features, inputs, size, size), [size // 2] * 2

        def backward(x: Any, y: Any, kernel: Any, sides: Any, wanted: list[bool]) -> Any:
            return torch.ops.aten.convolution_backward(
                y, x, kernel, None, [1, 1], sides, [1, 1], False, [0, 0], 1, wanted
            )

        def bound(function: Callable[..., Any], *arguments: Any) -> Callable[[], Any]:
            return lambda: function(*arguments)

        ways = (
            bound(functional.conv2d, x, kernel, None, 1, "same"),
            bound(backward, x, y, kernel, sides, [True, False, False]),
            bound(backward, x, y, kernel, sides, [False, True, False]),
        )
        for way, function in zip(_WAYS, ways, strict=True):
            functions[f"{name}: {way}"] = function
    return functions


def _limits(_: argparse.Namespace) -> Functions:
    """What the machine does at best: a product of large matrices, and a sum from memory to memory."""
    import jax
    import jax.numpy as jnp

    a, b = jnp.ones((_MATRIX, _MATRIX)), jnp.ones(_STREAM)
    increment = jax.jit(lambda x: x + 1, donate_argnums=0)  # in place: new memory costs page faults

    def stream() -> None:
        nonlocal b
        b = jax.block_until_ready(increment(b))

    return {"product": _compiled(jnp.matmul, (a, a)), "stream": stream}


_MATRIX, _STREAM = 2048, 2**26

_OURS = "ours, collapsed"
_LIMITS = "limits"

_CONTESTANTS: dict[str, dict[str, Callable[[argparse.Namespace], Functions]]] = {
    "steps": {
        _OURS: _ours,
        "ours, by XLA's convolutions": _ours_before,
        "ours, expanded": _ours_expanded,
        "ours, quantised (QAT)": _ours_quantised,
        "PyTorch, eager": _torch,
        "PyTorch, compiled": _torch_compiled,
        "PyTorch, channels last, eager": _torch_last,
        "PyTorch, channels last, compiled": _torch_last_compiled,
        "Arm's Keras, collapsed": _arm,
        "Arm's Keras, expanded": _arm_expanded,
        _LIMITS: _limits,
    },
    "crops": {"our pool": _our_crops, "PyTorch's DataLoader": _torch_crops},
    "parts": {
        "step": _our_parts,
        "ours": _convolutions,
        "XLA's own": _xla_convolutions,
        "PyTorch": _torch_convolutions,
    },
}


def _milliseconds(seconds: list[float]) -> str:
    return f"{statistics.median(seconds) * 1e3:.1f} ({min(seconds) * 1e3:.1f})"


def _steps_table(found: dict[str, Any], args: argparse.Namespace) -> str:
    from sesr_jax.report import text_table

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
            _milliseconds(found[name]["seconds"]["step"]),
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
        f"{text_table(rows, header)}\n\n"
        f"{flops / 1e9:.1f} GFLOP and {traffic / 2**20:.0f} MiB a step; peak {peak / 1e9:.0f} GFLOP/s, "
        f"{bandwidth / 1e9:.0f} GB/s. A roofline of both allows {bound * 1e3:.1f} ms: ours reach "
        f"{bound / medians[_OURS]:.0%} of it."
    )


def _work(args: argparse.Namespace) -> tuple[list[tuple[int, int, int]], float, float]:
    """(kernel size, in, out) of the convolutions, and a step's operations and bytes.

    Each convolution reads an image and writes one: forward, to its input and to its kernel; what lies
    between two of them is taken to cost nothing. The first has no gradient to its input.
    """
    import jax
    import jax.numpy as jnp

    from sesr_jax import graph
    from sesr_jax.graph.cost import macs
    from sesr_jax.models import create

    module = create(args.model, scale=2)
    variables = module.init(jax.random.key(_SEED), jnp.zeros((1, 8, 8, 1)))
    nodes = graph.trace(module, variables, (args.batch, args.patch, args.patch, 1)).nodes
    convolutions = [node for node in nodes if node.op == "conv2d"]
    layers = [node.parameters[0].shape[1:] for node in convolutions]
    pixels = args.batch * args.patch**2
    products = [macs(node) for node in convolutions]
    values = [pixels * (inputs + outputs) for _, inputs, outputs in layers]
    return layers, 2.0 * (3 * sum(products) - products[0]), 4.0 * (3 * sum(values) - values[0])


def _crops_table(found: dict[str, Any], args: argparse.Namespace) -> str:
    from sesr_jax.report import text_table

    rows = [
        (name, _milliseconds(times), f"{args.batch / statistics.median(times):.0f}")
        for name, times in ((name, value["seconds"]["batch"]) for name, value in found.items())
    ]
    return text_table(rows, ["crops", "ms a batch (least)", "crops a second"])


def _parts_table(found: dict[str, Any], args: argparse.Namespace) -> str:
    from sesr_jax.report import text_table

    parts = [(name, _milliseconds(times)) for name, times in found["step"]["seconds"].items()]
    makers = [name for name in found if name != "step"]
    rows = [
        (function, *(_milliseconds(found[maker]["seconds"][function]) for maker in makers))
        for function in found["ours"]["seconds"]
    ]
    return (
        f"{text_table(parts, ['part of our step', 'ms (least)'])}\n\n"
        f"{text_table(rows, ['one convolution, ms (least)', *makers])}"
    )


_TABLES = {"steps": _steps_table, "crops": _crops_table, "parts": _parts_table}


if __name__ == "__main__":
    main()
