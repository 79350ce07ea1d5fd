"""The side of a sandbox that asks."""

import contextlib
import os
import pathlib
import signal
import subprocess
import sys
import weakref
from typing import Any

from sesr_jax.errors import InputError
from sesr_jax.sandbox.messages import receive, send

_ROOT = str(pathlib.Path(__file__).parents[2])


def start(module: str) -> "subprocess.Popen[bytes]":
    """Starts the process that answers calls of a module's runtime."""
    paths = [_ROOT, *filter(None, [os.environ.get("PYTHONPATH")])]
    return subprocess.Popen(
        [sys.executable, "-P", "-m", "sesr_jax.sandbox.server", module],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,  # where runtimes print names out of the file
        env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
    )


class SandboxError(Exception):
    """What the runtime in the sandbox refuses, as its own exceptions would say in this process."""


class Sandbox:
    """A runtime in a process of its own; it ends with this value, or with this process."""

    def __init__(self, module: str, what: str, **arguments: Any) -> None:
        """Starts the process and makes the runtime in it.

        Args:
          module: that of the runtime: its class `Runtime` is made of `arguments`.
          what: the file, for messages.
          **arguments: bytes, arrays and values of JSON.

        Raises:
          SandboxError: the runtime refuses the arguments.
          InputError: the runtime's process dies.
        """
        self._what = what
        self._process = start(module)
        self._end = weakref.finalize(self, _end, self._process)
        self.call("__init__", **arguments)

    def call(self, method: str, *args: Any, **kwargs: Any) -> Any:
        """Calls a method of the runtime, and returns what it returns.

        Raises:
          SandboxError: the method raises an exception.
          InputError: the runtime's process dies.
        """
        process = self._process
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            send(process.stdin, [method, args, kwargs])
            refusal, result = receive(process.stdout)
        except (EOFError, BrokenPipeError) as error:
            raise InputError(
                f"{self._what} ended the process that ran it ({_describe_end(process)}): it is damaged, or "
                "made to do harm."
            ) from error
        except (
            BaseException
        ):  # such as of Ctrl-C: half a message would be taken for the next answer
            self._end()
            raise
        if refusal is not None:
            raise SandboxError(refusal)
        return result


def _describe_end(process: "subprocess.Popen[bytes]") -> str:
    code = process.wait()
    if code >= 0:
        return f"status {code}"
    with contextlib.suppress(ValueError):
        return signal.Signals(-code).name
    return f"signal {-code}"


def _end(process: "subprocess.Popen[bytes]") -> None:
    process.kill()
    for file in (process.stdin, process.stdout):
        with contextlib.suppress(OSError):
            if file is not None:
                file.close()
    process.wait()
