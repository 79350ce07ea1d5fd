"""The side of a sandbox that answers: ``python -m sesr_jax.sandbox.server MODULE``.

It imports no jax, so that it starts in the time that the runtime's own import takes.
"""

import importlib
import os
import resource
import sys
from typing import Any

from sesr_jax.sandbox.messages import receive, send


def serve(module: str) -> None:
    """Answers calls from standard input until it ends."""
    _limit_memory()
    asked, answered = sys.stdin.buffer, os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what the runtime prints is no answer
    runtime: Any = None
    while True:
        try:
            method, args, kwargs = receive(asked)
        except EOFError:
            return
        try:
            if method == "__init__":
                runtime, result = importlib.import_module(module).Runtime(**kwargs), None
            else:
                result = getattr(runtime, method)(*args, **kwargs)
        except Exception as error:  # of any library: the other side makes a sentence of it
            send(answered, [f"{' '.join(str(error).split())}"[:500] or type(error).__name__, None])
        else:
            send(answered, [None, result])


def _limit_memory() -> None:
    """Keeps a file that asks for more memory than there is from taking it from others."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    most = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    if hard == resource.RLIM_INFINITY or most < hard:
        resource.setrlimit(resource.RLIMIT_AS, (most, hard))


if __name__ == "__main__":
    serve(sys.argv[1])
