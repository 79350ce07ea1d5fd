"""A server of a page for this machine alone, with the headers that threads in WebAssembly need."""

import functools
import http.server
import os
from typing import Any

from typing_extensions import override

from sesr_jax.errors import InputError

_HOST = "127.0.0.1"


def make_server(folder: str | os.PathLike[str], port: int) -> http.server.ThreadingHTTPServer:
    """Returns a server of `folder` on 127.0.0.1, whose ``serve_forever`` answers.

    Args:
      folder: what it serves.
      port: 0 for one that is free.

    Raises:
      InputError: the port can't be taken.
    """
    if not 0 <= port < 2**16:
        raise InputError(f"the port {port} must lie from 0 to 65535.")
    try:
        return http.server.ThreadingHTTPServer(
            (_HOST, port), functools.partial(_Handler, directory=os.fspath(folder))
        )
    except OSError as error:
        raise InputError(
            f"the port {port} of {_HOST} can't be taken ({error.strerror}); name another one."
        ) from error


class _Handler(http.server.SimpleHTTPRequestHandler):
    """Answers with files, in isolation from other origins, without which browsers give no shared memory."""

    extensions_map = {  # noqa: RUF012  # as the base class has it
        **http.server.SimpleHTTPRequestHandler.extensions_map,
        ".js": "text/javascript",
        ".wasm": "application/wasm",
    }

    @override
    def end_headers(self) -> None:
        self.send_header("Cross-Origin-Opener-Policy", "same-origin")
        self.send_header("Cross-Origin-Embedder-Policy", "require-corp")
        self.send_header("Cache-Control", "no-cache")
        super().end_headers()

    @override
    def log_message(self, format: str, *args: Any) -> None:
        return
