"""The `sesr` command: ``sesr VERB …``. Each verb is a module of this package with ``run(argv)``."""

import contextlib
import importlib
import io
import keyword
import logging
import os
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from typing import Any

from typing_extensions import override

from sesr_jax import __version__
from sesr_jax.errors import InputError, Stopped, to_printable

VERBS = {
    "train": "train a network from a config; the same command resumes",
    "eval": "measure PSNR and SSIM of models on folders of images",
    "export": "write a TFLite or ONNX file, full INT8 or of another precision, or bare weights",
    "inspect": "describe a TFLite or ONNX file, and list the NPUs that do not run it",
    "verify": "run a TFLite or ONNX file on the input stored beside it, and compare the outputs",
    "compare": "measure how much PSNR networks lose as INT8 files",
    "latency": "estimate the time on an NPU, layer by layer",
    "compile": "compile a network for a BM1684X, and compare on the chip's simulator",
    "score": "score models by the rules of a challenge, beside its published entries",
    "upscale": "upscale an image, a folder of images or a video",
    "degrade": "degrade a photo as the training for real photos does",
    "import": "convert the weights of another project's network",
    "reparam": "count parameters and MACs of a network, expanded and collapsed",
    "ablate": "train one network with several forms and seeds, and compare",
    "search": "search a space of networks by evolution, for a target and within bounds",
    "publish": "write a run's weights to ship, with a card of what they reach",
    "recipes": "list the training recipes, or describe one",
    "models": "list the zoo with parameters, MACs and published figures",
    "demo": "train a small network on photos, export it and estimate its latency, in minutes",
}


def main(argv: Sequence[str] | None = None) -> int:
    """Runs a verb and returns its exit status: 0, or 2 after one sentence about bad input.

    Where the reader of the output has ended, as `head` does, the verb ends in silence.
    """
    if isinstance(
        sys.stdout, io.TextIOWrapper
    ):  # as a name that the terminal cannot show ends no work
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        status = _run_verb(argv)
        sys.stdout.flush()
    except BrokenPipeError:
        # The interpreter flushes once more when it ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 128 + signal.SIGPIPE  # as a shell counts it
    return status


def _run_verb(argv: Sequence[str] | None) -> int:
    arguments = list(sys.argv[1:] if argv is None else argv)
    verb = arguments[0] if arguments else "--help"
    if verb in ("-h", "--help"):
        print(_make_usage())
        return 0
    if verb == "--version":
        print(f"sesr_jax {__version__}")
        return 0
    if verb not in VERBS:
        print(
            f"sesr: unknown verb {verb!r}: it must be one of {', '.join(VERBS)}; see sesr --help.",
            file=sys.stderr,
        )
        return 2
    handler = logging.StreamHandler()
    handler.setFormatter(_Formatter("%(message)s"))
    logging.basicConfig(handlers=[handler])
    logging.getLogger("sesr_jax").setLevel(logging.INFO)
    module = f"{verb}_" if keyword.iskeyword(verb) else verb
    try:
        with _stop_on_sigterm(), contextlib.redirect_stdout(_Printable(sys.stdout)):
            importlib.import_module(f"sesr_jax.cli.{module}").run(arguments[1:])
    except InputError as error:
        print(f"sesr {verb}: {error}", file=sys.stderr)
        return 2
    except Stopped as stop:
        print(f"sesr {verb}: {stop}", file=sys.stderr)
        return 128 + stop.signal  # as a shell counts it
    except KeyboardInterrupt:
        print(f"sesr {verb}: stopped", file=sys.stderr)
        return 130
    return 0


class _Printable:
    """Standard output on which no name of a file, and nothing that a file says, can steer the terminal."""

    def __init__(self, file: Any) -> None:
        self._file = file

    def write(self, text: str) -> int:
        count: int = self._file.write(to_printable(text))
        return count

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)


class _Formatter(logging.Formatter):
    @override
    def format(self, record: logging.LogRecord) -> str:
        return to_printable(super().format(record))


@contextlib.contextmanager
def _stop_on_sigterm() -> Iterator[None]:
    """Ends a verb on SIGTERM, unless the verb handles it itself, so that temporary files are removed."""

    def stop(number: int, _: object) -> None:
        raise Stopped("stopped")

    if threading.current_thread() is not threading.main_thread():  # only there Python hears signals
        yield
        return
    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before or signal.SIG_DFL)


def _make_usage() -> str:
    verbs = "\n".join(f"  {verb:<9}{text}" for verb, text in VERBS.items())
    return f"sesr: super-resolution from photos to a small NPU\n\n{verbs}\n\nsesr VERB --help has an example."
