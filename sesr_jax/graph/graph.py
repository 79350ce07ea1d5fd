"""The Graph: a deployable network as a list of named operations, and its float interpreter.

    graph = trace(SESR(scale=2), variables, (1, 360, 640, 1))
    y = run(graph, x)

A Graph is what every later stage reads: counting, quantisation, export, the NPU simulator.
"""

import dataclasses
import functools
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any, TypeAlias

import jax
import numpy as np

from sesr_jax import ops
from sesr_jax.errors import look_up

Arg: TypeAlias = str | jax.Array | np.ndarray
"""What a node reads: another node (or the input) by name, or a parameter, or what the model spells out, such
as a number or a mean to subtract, which is a NumPy array."""


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Node:
    """One call of an operation; equal to itself alone, since arrays have no one answer.

    Attributes:
      name: unique in its graph, e.g. "block_0/conv2d".
      op: a key of `ops.OPS`.
      args: the op's positional arguments.
      attrs: the op's keyword arguments.
      shape: of the output, ``[N, H, W, C]``.
    """

    name: str
    op: str
    args: tuple[Arg, ...]
    attrs: dict[str, Any]
    shape: tuple[int, ...]

    @property
    def inputs(self) -> tuple[str, ...]:
        """The tensors that the node reads, by name, without its parameters."""
        return tuple(arg for arg in self.args if isinstance(arg, str))

    @property
    def parameters(self) -> tuple[jax.Array | np.ndarray, ...]:
        """The arrays that the node holds."""
        return tuple(arg for arg in self.args if not isinstance(arg, str))


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Graph:
    """Nodes in an order in which they can run; equal to itself alone, as they are.

    Attributes:
      input: the name of the input tensor.
      input_shape: ``[N, H, W, C]``.
      nodes: every node after those that it reads.
      output: the name of the node whose value is the network's.
    """

    input: str
    input_shape: tuple[int, ...]
    nodes: tuple[Node, ...]
    output: str

    def __getitem__(self, name: str) -> Node:
        """Returns the node of that name.

        Raises:
          InputError: there is none.
        """
        return look_up("node", name, self._by_name)

    def find_readers(self, name: str) -> tuple[Node, ...]:
        """Returns the nodes that read the tensor `name`, in order."""
        return tuple(self.nodes[i] for i in self._readers.get(name, ()))

    def find_sole_reader(self, name: str) -> Node | None:
        """Returns the node that alone reads the tensor `name`; None where that is also the output."""
        readers = self.find_readers(name)
        return readers[0] if len(readers) == 1 and name != self.output else None

    def map_nodes(self, change: Callable[[Node], Node]) -> "Graph":
        """Returns the graph with ``change(node)``, of the same name, in each node's place."""
        return dataclasses.replace(self, nodes=tuple(map(change, self.nodes)))

    def without_nodes(self, names: Collection[str]) -> "Graph":
        """Returns the graph without the nodes `names`; whoever reads one reads its first input instead."""
        source: dict[str, str] = {}
        nodes = []
        for node in self.nodes:
            args = tuple(source.get(arg, arg) if isinstance(arg, str) else arg for arg in node.args)
            if node.name in names:
                source[node.name] = str(args[0])
            else:
                nodes.append(dataclasses.replace(node, args=args))
        output = source.get(self.output, self.output)
        return dataclasses.replace(self, nodes=tuple(nodes), output=output)

    def call(self, node: Node) -> ops.Call:
        """Returns the call of `node`'s operation, as a `Spec` reads it."""
        shapes = self.shapes
        known = (shapes[arg] if isinstance(arg, str) else tuple(arg.shape) for arg in node.args)
        return ops.Call(shapes=tuple(known), attrs=node.attrs)

    @functools.cached_property
    def shapes(self) -> Mapping[str, tuple[int, ...]]:
        """The shape of every tensor by name, the input's among them."""
        return {self.input: self.input_shape} | {node.name: node.shape for node in self.nodes}

    @functools.cached_property
    def _by_name(self) -> Mapping[str, Node]:
        return {node.name: node for node in self.nodes}

    @functools.cached_property
    def _readers(self) -> Mapping[str, Sequence[int]]:
        return find_readers(node.inputs for node in self.nodes)


def find_readers(inputs: Iterable[Iterable[str]]) -> dict[str, list[int]]:
    """Returns, by tensor, the indices of the steps that read it, in order and each once.

    Args:
      inputs: the tensors that each step reads, by name.
    """
    readers: dict[str, list[int]] = {}
    for i, names in enumerate(inputs):
        for name in dict.fromkeys(names):
            readers.setdefault(name, []).append(i)
    return readers


def run(
    graph: Graph, x: jax.Array, tap: Callable[[str, jax.Array], jax.Array] = lambda _, y: y
) -> jax.Array:
    """Computes the network's output for `x`, ``[N, H, W, C]`` of any size that the operations take.

    Args:
      graph: the network.
      x: the input.
      tap: called as ``tap(name, value)`` for the input and each node's output; what it returns
        stands in the value's place. Observers and fake-quantisers are taps.
    """
    values = {graph.input: tap(graph.input, x)}
    for node in graph.nodes:
        args = (values[arg] if isinstance(arg, str) else arg for arg in node.args)
        values[node.name] = tap(node.name, ops.OPS[node.op](*args, **node.attrs))
    return values[graph.output]


def with_input_shape(graph: Graph, input_shape: tuple[int, ...]) -> Graph:
    """Returns `graph` with the shapes that its nodes have for an input of `input_shape`, ``[N, H, W, C]``.

    Raises:
      ValueError, TypeError: an operation does not take that size.
    """
    names = [node.name for node in graph.nodes]

    def run_all(x: jax.Array) -> list[jax.Array]:
        values: dict[str, jax.Array] = {}
        run(graph, x, lambda name, y: values.setdefault(name, y))
        return [values[name] for name in names]

    shapes = jax.eval_shape(run_all, jax.ShapeDtypeStruct(input_shape, np.float32))
    nodes = tuple(
        dataclasses.replace(node, shape=of.shape)
        for node, of in zip(graph.nodes, shapes, strict=True)
    )
    return dataclasses.replace(graph, input_shape=input_shape, nodes=nodes)
