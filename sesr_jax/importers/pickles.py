"""Follows pickles without running anything that they name.

A pickle is a program of opcodes. Python's own reader imports and calls whatever such a program names. This
one follows the opcodes that make numbers, texts, tuples, lists and dicts, and asks its caller what stands in
the place of every other object; an inert `Unknown` does where nobody knows one.

    follow(file, call=lambda function, args: Unknown(function.name))
"""

import dataclasses
from collections.abc import Callable
from pickletools import genops  # it reads opcodes and runs none
from typing import Any, BinaryIO


class PickleError(ValueError):
    """A pickle is damaged, or of a kind that is not followed; the message says why."""


@dataclasses.dataclass(frozen=True)
class Unknown:
    """An object that the file would import by this name, such as "argparse.Namespace"."""

    name: str


def _know_none(key: Any) -> Unknown:
    return Unknown("a persistent object")


def _forget(value: Any, state: Any) -> None:
    pass


_MARK = object()


def follow(
    program: BinaryIO,
    *,
    call: Callable[[Any, Any], Any],
    find_persistent: Callable[[Any], Any] = _know_none,
    set_state: Callable[[Any, Any], None] = _forget,
) -> Any:
    """Follows one pickle, from the current position of `program` on, and returns what it makes.

    Args:
      program: the file.
      call: returns what stands for the call of a function, an `Unknown` or another value, with a tuple.
      find_persistent: returns what a persistent id stands for.
      set_state: gives a value the state that the pickle would give the object; by default it is dropped.

    Raises:
      PickleError: it ends too early, or uses an opcode that is not followed.
    """
    stack: list[Any] = []
    memo: dict[int, Any] = {}

    def pop_to_mark() -> list[Any]:
        start = len(stack) - 1 - stack[::-1].index(_MARK)
        items = stack[start + 1 :]
        del stack[start:]
        return items

    def put(items: list[Any]) -> None:
        """Puts pairs of keys and values into the dict on top of the stack."""
        if isinstance(stack[-1], dict):
            stack[-1].update(zip(items[::2], items[1::2], strict=True))

    def extend(items: list[Any]) -> None:
        if isinstance(stack[-1], list):
            stack[-1].extend(items)

    value: Any
    for opcode, value, _ in genops(program):
        match opcode.name:
            case "PROTO" | "FRAME":
                pass
            case "STOP":
                return stack.pop()
            case "MARK":
                stack.append(_MARK)
            case "POP":
                stack.pop()
            case "POP_MARK":
                pop_to_mark()
            case "DUP":
                stack.append(stack[-1])
            case "NONE":
                stack.append(None)
            case "NEWTRUE" | "NEWFALSE":
                stack.append(opcode.name == "NEWTRUE")
            case "EMPTY_DICT":
                stack.append({})
            case "EMPTY_LIST":
                stack.append([])
            case "EMPTY_TUPLE":
                stack.append(())
            case "EMPTY_SET":
                stack.append(Unknown("set"))
            case "DICT":
                items = pop_to_mark()
                stack.append(dict(zip(items[::2], items[1::2], strict=True)))
            case "LIST":
                stack.append(pop_to_mark())
            case "TUPLE":
                stack.append(tuple(pop_to_mark()))
            case "TUPLE1" | "TUPLE2" | "TUPLE3":
                count = int(opcode.name[-1])
                stack[-count:] = [tuple(stack[-count:])]
            case "SETITEM":
                items = stack[-2:]
                del stack[-2:]
                put(items)
            case "SETITEMS":
                put(pop_to_mark())
            case "APPEND":
                extend([stack.pop()])
            case "APPENDS" | "ADDITEMS":
                extend(pop_to_mark())
            case "GLOBAL":
                stack.append(Unknown(value.replace(" ", ".")))
            case "STACK_GLOBAL":
                name = stack.pop()
                stack.append(Unknown(f"{stack.pop()}.{name}"))
            case "REDUCE" | "NEWOBJ":
                args = stack.pop()
                stack.append(call(stack.pop(), args))
            case "BUILD":
                state = stack.pop()
                set_state(stack[-1], state)
            case "BINPERSID":
                stack.append(find_persistent(stack.pop()))
            case "PUT" | "BINPUT" | "LONG_BINPUT":
                memo[value] = stack[-1]
            case "MEMOIZE":
                memo[len(memo)] = stack[-1]
            case "GET" | "BINGET" | "LONG_BINGET":
                stack.append(memo[value])
            case name if opcode.stack_before == [] and len(opcode.stack_after) == 1:
                stack.append(value)  # a number, a text or bytes
            case name:
                raise PickleError(f"it uses the opcode {name}, which is not followed")
    raise PickleError("it ends too early")
