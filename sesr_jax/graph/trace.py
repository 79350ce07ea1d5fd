"""Traces a Flax module and its variables to a `Graph`.

The module is traced to a jaxpr. Computations that do not depend on the image (collapses, casts, reshapes of
parameters) are evaluated at once; all others must be operations of `sesr_jax.ops`, which the jaxpr names.
Parameters may be tracers: `trace` inside a jitted loss returns a differentiable Graph.
"""

from collections import Counter
from collections.abc import Callable, Hashable, Sequence
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from jax.extend import core as jax_core

from sesr_jax import ops
from sesr_jax.errors import InputError
from sesr_jax.graph.graph import Arg, Graph, Node
from sesr_jax.reparam.linear_conv import is_expanded

T = TypeVar("T")

SAMPLE_SIDE = 48
"""The side in pixels of an image that serves where the size does not matter: a multiple of common strides and
blocks, and no smaller than poolings without padding need."""

INPUT = "input"
"""The name of a graph's input tensor."""


def trace(
    module: nn.Module, variables: Any, input_shape: Sequence[int], dtype: Any = jnp.float32
) -> Graph:
    """Records the operations of ``module.apply(variables, x)`` for an `x` of `input_shape`.

    Args:
      module: a network that computes activations by `sesr_jax.ops` alone; where it has a `mode`, it is
        traced in the mode "collapsed".
      variables: its variables; expanded terms are recorded collapsed.
      input_shape: ``[N, H, W, C]``.
      dtype: the dtype of the input.

    Raises:
      InputError: an operation on activations is not in `ops.OPS`, or a layer runs expanded terms; the
        message names the operation, the layer and the line that called it. Or the module does not return
        exactly one image that depends on its input.
    """
    if is_expanded(module):
        module = module.clone(mode="collapsed")
    image = jax.ShapeDtypeStruct(tuple(input_shape), dtype)
    closed = jax.make_jaxpr(module.apply)(variables, image)
    # Variables become JAX arrays, to differ from the model's constants, which are NumPy arrays.
    leaves = jax.tree.leaves(variables)
    arrays = {
        id(leaf): leaf if isinstance(leaf, jax.Array) else jnp.asarray(leaf) for leaf in leaves
    }
    leaves = [arrays[id(leaf)] for leaf in leaves]
    tracer = _Tracer()
    known = [*leaves, INPUT]
    outputs = tracer.run(closed.jaxpr, closed.consts, known)
    if len(outputs) != 1:
        raise InputError(
            f"{type(module).__name__} returns {len(outputs)} arrays: a network must return one image."
        )
    (output,) = outputs
    if not isinstance(output, str):
        raise InputError(
            f"{type(module).__name__} ignores its input: its output must depend on it."
        )
    return Graph(
        input=INPUT, input_shape=tuple(input_shape), nodes=tuple(tracer.nodes), output=output
    )


def eval_shapes(work: Callable[[], T]) -> T:
    """Returns the result of `work` without computing any array; costs, for example, need shapes alone.

        spent = eval_shapes(lambda: count_cost(init("sesr_xl", scale=2, key=key).trace((1, 1080, 1920, 1))))

    Arrays in the result have a shape and no values.
    """
    found: list[T] = []
    jax.eval_shape(lambda: found.append(work()))
    return found[0]


class _Tracer:
    """Walks jaxprs; a value is an array where it is known, and a tensor's name where it depends on the image.

    The same computation on the same arrays gives the same array, so that the identity of arrays tells shared
    parameters, collapsed or not, from parameters that are merely equal.
    """

    def __init__(self) -> None:
        self.nodes: list[Node] = []
        self._names: Counter[str] = Counter()
        self._known: dict[Any, list[tuple[dict[str, Any], Sequence[Any], Sequence[Any]]]] = {}

    def run(
        self, jaxpr: Any, consts: Sequence[Any], args: Sequence[Arg], caller: Any = None
    ) -> list[Arg]:
        """Evaluates `jaxpr`, which the equation `caller` calls, and returns the values of its outputs."""
        values: dict[Any, Arg] = dict(zip(jaxpr.constvars, consts, strict=True))
        values |= zip(jaxpr.invars, args, strict=True)

        def read(atom: Any) -> Arg:
            if isinstance(atom, jax_core.Literal):
                return np.asarray(atom.val, atom.aval.dtype)  # type: ignore[attr-defined]
            return values[atom]

        for equation in jaxpr.eqns:
            inputs = [read(atom) for atom in equation.invars]
            if any(isinstance(value, str) for value in inputs):
                # jax traces an inner function once, so that its lines may belong to another call.
                outputs = self._trace_equation(equation, inputs, caller or equation)
            else:
                outputs = self._evaluate(jaxpr, equation, inputs)
            values |= zip(equation.outvars, outputs, strict=True)
        return [read(atom) for atom in jaxpr.outvars]

    def _trace_equation(self, equation: Any, inputs: list[Arg], caller: Any) -> Sequence[Arg]:
        if call := ops.parse_name(str(equation.params.get("name", ""))):
            return [self._record(equation, *call, inputs)]
        loop = equation.primitive.name == "scan"  # its body runs several times
        inner = None if loop else equation.params.get("jaxpr") or equation.params.get("call_jaxpr")
        if isinstance(inner, jax_core.ClosedJaxpr) and len(inner.jaxpr.invars) == len(inputs):
            return self.run(inner.jaxpr, inner.consts, inputs, caller)
        if isinstance(inner, jax_core.Jaxpr) and len(inner.invars) == len(inputs):
            return self.run(inner, (), inputs, caller)
        line, layer = _find_line(caller), "/".join(_module_names(caller))
        if "sesr_jax/reparam/" in line:
            raise InputError(
                f"the layer {layer!r} runs its expanded terms: a traced network must have the mode "
                "'collapsed'."
            )
        raise InputError(
            f"the operation {equation.primitive.name!r} on activations in {layer!r} ({line}) cannot be "
            f"deployed: activations may pass through Python's loops and sesr_jax.ops alone, which are "
            f"{', '.join(sorted(ops.OPS))}."
        )

    def _record(self, equation: Any, op: str, attrs: dict[str, Any], inputs: list[Arg]) -> str:
        base = "/".join([*_module_names(equation), op])
        self._names[base] += 1
        count = self._names[base]
        name = base if count == 1 else f"{base}_{count}"
        args = tuple(inputs)
        shape = tuple(equation.outvars[0].aval.shape)
        self.nodes.append(Node(name=name, op=op, args=args, attrs=attrs, shape=shape))
        return name

    def _evaluate(self, jaxpr: Any, equation: Any, inputs: Sequence[Any]) -> Sequence[Any]:
        """Returns the outputs of an equation whose inputs are known, and the same arrays if it recurs."""
        pairs = zip(equation.invars, inputs, strict=True)
        key = (
            equation.primitive,
            *(
                (value.tobytes(), str(atom.aval))
                if isinstance(atom, jax_core.Literal)
                else id(value)
                for atom, value in pairs
            ),
        )
        for params, _, outputs in self._known.setdefault(key, []):
            if _are_same(params, equation.params):
                return outputs
        outputs = _compute(jaxpr, equation, inputs)
        self._known[key].append(
            (equation.params, inputs, outputs)
        )  # keeps the ids of the inputs valid
        return outputs


def _are_same(params: dict[str, Any], others: dict[str, Any]) -> bool:
    """Returns whether two equations have the same parameters, as far as these can be compared."""
    pairs = ((params[name], others.get(name)) for name in params)
    return params.keys() == others.keys() and all(
        one is other or (isinstance(one, Hashable) and one == other) for one, other in pairs
    )


def _compute(jaxpr: Any, equation: Any, inputs: Sequence[Any]) -> Sequence[Any]:
    """Computes the outputs of one equation of `jaxpr`, whose inputs are all known."""
    # Binding the primitive by hand would depend on the release of jax.
    pairs = zip(equation.invars, inputs, strict=True)
    given = {atom: value for atom, value in pairs if not isinstance(atom, jax_core.Literal)}
    lone = jaxpr.replace(
        constvars=(), invars=list(given), outvars=equation.outvars, eqns=[equation]
    )
    return jax.core.eval_jaxpr(lone, (), *given.values())


def _module_names(equation: Any) -> list[str]:
    """Returns the names of the modules around the equation, without the root's."""
    return str(equation.source_info.name_stack).split("/")[1:]


def _find_line(equation: Any) -> str:
    """Returns the innermost line outside the libraries that led to the equation."""
    traceback = equation.source_info.traceback
    for frame in traceback.frames if traceback else ():
        if not any(part in frame.file_name for part in ("site-packages", "sesr_jax/ops/")):
            return f"{frame.file_name}:{frame.line_num}"
    return "at an unknown place"
