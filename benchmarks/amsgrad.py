"""Steps the AMSGrad of four libraries over the same gradients, and says which compute the same rule.

    python -m benchmarks.amsgrad
    python -m benchmarks.amsgrad --steps 1000 --json amsgrad.json

Ours is `keras_amsgrad`; Keras' comes with TensorFlow, and PyTorch's is left out where it is not installed.
Each optimiser has its library's own settings: an epsilon of 1e-7 in ours and Keras', of 1e-8 in PyTorch's
and optax'. PyTorch adds epsilon behind the correction of the bias, and Keras before it. A second pair, ours
and PyTorch's, has next to no epsilon.

**difference** is the largest one from ours in any parameter after any step, over the longest way that one of
our parameters went. **last steps** is the mean length of the last tenth of the steps, over that of ours.
"""

import argparse
import importlib.util
import json
import os
import pathlib
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

_LEARNING_RATE = 1e-3
_PARAMETERS = 32
_NO_EPSILON = 1e-30

Path = np.ndarray
"""The parameters after each step, from zero: ``[steps, parameters]``."""


def _scale_noise(sizes: np.ndarray) -> np.ndarray:
    noise = np.random.default_rng(0).normal(size=(len(sizes), _PARAMETERS))
    return (noise * sizes[:, None]).astype(np.float32)


SCENARIOS: dict[str, Callable[[int], np.ndarray]] = {
    "noise": lambda steps: _scale_noise(np.ones(steps)),
    "a first gradient 1,000 times as large": lambda steps: _scale_noise(
        np.where(np.arange(steps) == 0, 1e3, 1.0)
    ),
    "decaying from 10 to 0.001": lambda steps: _scale_noise(np.geomspace(10, 1e-3, steps)),
    "as small as epsilon, 1e-7": lambda steps: _scale_noise(np.full(steps, 1e-7)),
}
"""By name, what makes the gradients of so many steps: float32 ``[steps, parameters]``."""


def _walk_by_optax(make: Callable[..., Any], gradients: np.ndarray, **options: float) -> Path:
    import jax
    import jax.numpy as jnp
    import optax

    optimiser = make(_LEARNING_RATE, **options)

    def step(carry: tuple, gradient: jax.Array) -> tuple[tuple, jax.Array]:
        params, state = carry
        updates, state = optimiser.update(gradient, state, params)
        params = optax.apply_updates(params, updates)
        return (params, state), params

    start = jnp.zeros(gradients.shape[1])
    return np.asarray(jax.lax.scan(step, (start, optimiser.init(start)), gradients)[1])


def _walk_by_ours(gradients: np.ndarray, **options: float) -> Path:
    from sesr_jax.train.amsgrad import keras_amsgrad

    return _walk_by_optax(keras_amsgrad, gradients, **options)


def _walk_by_optax_amsgrad(gradients: np.ndarray) -> Path:
    import optax

    return _walk_by_optax(optax.amsgrad, gradients)


def _walk_by_keras(gradients: np.ndarray) -> Path:
    import keras

    optimiser = keras.optimizers.Adam(_LEARNING_RATE, amsgrad=True)

    def walk() -> Iterator[np.ndarray]:
        variable = keras.Variable(np.zeros(gradients.shape[1], np.float32))
        for gradient in gradients:
            optimiser.apply([keras.ops.convert_to_tensor(gradient)], [variable])
            yield keras.ops.convert_to_numpy(variable.value).copy()

    return np.stack(list(walk()))


def _walk_by_torch(gradients: np.ndarray, **options: float) -> Path:
    import torch

    parameter = torch.zeros(gradients.shape[1], requires_grad=True)
    optimiser = torch.optim.Adam([parameter], lr=_LEARNING_RATE, amsgrad=True, **options)

    def walk() -> Iterator[np.ndarray]:
        for gradient in gradients:
            parameter.grad = torch.from_numpy(gradient)
            optimiser.step()
            yield parameter.detach().numpy().copy()

    return np.stack(list(walk()))


def compare(gradients: np.ndarray) -> dict[str, dict[str, float]]:
    """Returns, for each other optimiser, how its path and its last steps differ from those of ours."""
    ours = _walk_by_ours(gradients)
    pairs = {"optax": (ours, _walk_by_optax_amsgrad(gradients))}
    if importlib.util.find_spec("keras"):
        pairs = {"Keras": (ours, _walk_by_keras(gradients)), **pairs}
    if importlib.util.find_spec("torch"):
        pairs["PyTorch"] = ours, _walk_by_torch(gradients)
        pairs["PyTorch, both without epsilon"] = (
            _walk_by_ours(gradients, eps=_NO_EPSILON),
            _walk_by_torch(gradients, eps=_NO_EPSILON),
        )
    return {
        name: {
            "difference": float(np.abs(theirs - mine).max() / np.abs(mine).max()),
            "last_steps": float(_measure_last_steps(theirs) / _measure_last_steps(mine)),
        }
        for name, (mine, theirs) in pairs.items()
    }


def _measure_last_steps(path: Path) -> float:
    steps = np.abs(np.diff(path, axis=0))
    return float(steps[-max(1, len(steps) // 10) :].mean())


def main(argv: list[str] | None = None) -> None:
    """Parses `argv`, steps the optimisers, and prints a table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--steps", type=int, default=300, help="default %(default)s")
    parser.add_argument("--json", type=pathlib.Path, help="also write the results there")
    args = parser.parse_args(argv)
    if args.steps < 2:
        parser.error(f"--steps is {args.steps}: it must be 2 or more.")

    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    from sesr_jax.files import replace_file
    from sesr_jax.report import format_table

    for library in ("keras", "torch"):
        if not importlib.util.find_spec(library):
            print(f"{library} is not installed, so that nothing of it is compared.")
    found = {name: compare(make(args.steps)) for name, make in SCENARIOS.items()}
    rows = [
        (scenario, name, f"{values['difference']:.1e}", f"{values['last_steps']:.3f}")
        for scenario, others in found.items()
        for name, values in others.items()
    ]
    print(f"{args.steps} steps at a learning rate of {_LEARNING_RATE}, {_PARAMETERS} parameters\n")
    print(format_table(rows, ["gradients", "against ours", "difference", "last steps"]))
    if args.json:
        with replace_file(args.json) as temporary:
            temporary.write_text(json.dumps(found, indent=2), encoding="utf-8")


if __name__ == "__main__":
    main()
