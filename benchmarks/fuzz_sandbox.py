"""Starts sandboxes by forking a process that has imported the runtimes already, in milliseconds.

use_forks()     # for all sandboxes of this process from now on

A sandbox of its own interpreter spends a second on imports, which are the same for every file. Nothing else
differs: each file has a process of its own, which may die.
"""

import contextlib
import importlib
import os
import signal
import socket
import struct
import subprocess
import sys
from typing import Any

from sesr_jax.sandbox import client
from sesr_jax.sandbox.server import serve

_MODULES = ("sesr_jax.sandbox.litert", "sesr_jax.sandbox.onnx")
_IMPORTS = ("ai_edge_litert.interpreter", "onnxruntime")
_NUMBER = struct.Struct("<q")


def use_forks() -> None:
    """Starts the process that is forked, and lets all sandboxes of this process come from it."""
    ours, theirs = socket.socketpair()
    subprocess.Popen(
        [sys.executable, "-m", "benchmarks.fuzz_sandbox", str(theirs.fileno())],
        stdin=subprocess.DEVNULL,  # and not the pipes by whose end the death of this process shows
        stdout=subprocess.DEVNULL,
        pass_fds=[theirs.fileno()],
    )
    theirs.close()
    client.start = lambda module: _Forked(ours, module)


class _Forked:
    """What `Sandbox` needs of `subprocess.Popen`."""

    def __init__(self, server: socket.socket, module: str) -> None:
        (asked, asks), (answers, answered), (tells, told) = os.pipe(), os.pipe(), os.pipe()
        place = bytes([_MODULES.index(module)])
        socket.send_fds(server, [place], [asked, answered, told])
        for number in (asked, answered, told):
            os.close(number)
        self.stdin, self.stdout = os.fdopen(asks, "wb"), os.fdopen(answers, "rb")
        self._tells = os.fdopen(tells, "rb")
        self.pid, self._code = self._read(), None

    def _read(self) -> int:
        return _NUMBER.unpack(self._tells.read(_NUMBER.size))[0]

    def kill(self) -> None:
        if self._code is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)

    def wait(self) -> int:
        if self._code is None:
            self._code = self._read()
            self._tells.close()
        return self._code


def _serve_forks(number: int) -> None:
    """Forks a sandbox for each request, until the other side has ended."""
    for name in (*_IMPORTS, *_MODULES):
        importlib.import_module(name)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # keepers are nobody's business
    server = socket.socket(fileno=number)
    while True:
        place, handles, _, _ = socket.recv_fds(server, 1, 3)
        if not place:
            return
        if not os.fork():
            server.close()
            _keep(_MODULES[place[0]], *handles)
        for handle in handles:
            os.close(handle)


def _keep(module: str, asked: int, answered: int, told: int) -> Any:
    """Forks the sandbox, and tells its process number and how it ended."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    process = os.fork()
    if not process:
        os.close(told)
        os.dup2(asked, 0)
        os.dup2(answered, 1)
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
        for handle in (asked, answered):
            os.close(handle)
        sys.stdin, sys.stdout = os.fdopen(0, "r"), os.fdopen(1, "w")
        try:
            serve(module)
        finally:
            os._exit(0)
    os.close(asked)
    os.close(answered)
    os.write(told, _NUMBER.pack(process))
    _, status = os.waitpid(process, 0)
    with contextlib.suppress(BrokenPipeError):
        os.write(told, _NUMBER.pack(os.waitstatus_to_exitcode(status)))
    os._exit(0)


if __name__ == "__main__":
    _serve_forks(int(sys.argv[1]))
