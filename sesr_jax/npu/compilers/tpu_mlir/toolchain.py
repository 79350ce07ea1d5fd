"""tpu-mlir's environment: a Python 3.10 with packages of its own, in a folder beside ours.

    make_toolchain("tpumlir")                               # once; 3 GB
    find_toolchain("tpumlir").run(("model_tool", "--info", "x.bmodel"), folder)

Its programs run as processes; nothing of it is imported here.
"""

import contextlib
import dataclasses
import os
import pathlib
import re
import shlex
import shutil
import signal
import subprocess
from collections.abc import Sequence

from sesr_jax.errors import InputError

VERSION = "1.30.2"
"""The version of tpu-mlir with which all was tried."""

VARIABLE = "SESR_TPU_MLIR"
"""The environment variable that names the environment's folder where no option does."""

LOG = "tpu_mlir.log"
"""The file, in the folder of a run, to which all that the programs print is appended."""

_PYTHON = "python3.10"  # the wheel is for no other
# What the wheel wants for ONNX files, at its own versions. It wants more for other files, among which
# pycocotools has to be compiled. PyTorch is older than tpu-mlir's, as this one brings its libraries in
# one wheel.
_PACKAGES = (
    "filelock==4.1.0",
    "graphviz==0.20.1",
    "numpy==1.24.3",
    "onnx==1.14.1",
    "onnxruntime==1.16.3",
    "onnxruntime_extensions==0.14.0",
    "onnxsim==0.4.17",
    "opencv-python-headless==4.8.0.74",
    "pandas==2.0.3",
    "Pillow==10.0.0",
    "plotly==5.15.0",
    "protobuf==3.20.3",
    "psutil==7.2.2",
    "scikit-learn==1.6.1",
    "scipy==1.11.1",
    "setuptools==59.6.0",
    "torch==1.12.1",
    "tqdm==4.65.0",
    "transformers==5.6.2",
)
_HOST = ("libc.so.6", "libm.so.6", "libpthread.so.0")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Toolchain:
    """An environment in which tpu-mlir is installed.

    Attributes:
      path: its folder, which has ``bin/model_transform.py``.
    """

    path: pathlib.Path

    def run(self, command: Sequence[str], folder: str | os.PathLike[str]) -> None:
        """Runs one of tpu-mlir's programs in `folder`, and appends what it prints to `LOG` there.

        All processes that it starts end with it, whatever ends this function.

        Raises:
          InputError: it fails; the sentence has the line in which it says why.
        """
        program, *options = command
        log = pathlib.Path(folder) / LOG
        with open(log, "ab") as file:
            start = file.tell()
            process = subprocess.Popen(
                [self.path / "bin" / program, *options],
                cwd=folder,
                env=self._make_environment(),
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
            try:
                status = process.wait()
            finally:
                _end_group(process)
        if status:
            printed = log.read_bytes()[start:].decode(errors="replace")
            raise InputError(f"tpu-mlir's {program} fails: {_find_reason(printed)}")

    def _make_environment(self) -> dict[str, str]:
        """Returns the environment for a program, with the system's C library before tpu-mlir's.

        tpu-mlir brings an older C library, and programs crash where another loader than its own loads it.
        """
        hidden = {"PYTHONPATH", "PYTHONHOME", "LD_LIBRARY_PATH", "VIRTUAL_ENV"}
        kept = {name: value for name, value in os.environ.items() if name not in hidden}
        path = os.pathsep.join([str(self.path / "bin"), kept.get("PATH", os.defpath)])
        before = [kept["LD_PRELOAD"]] if kept.get("LD_PRELOAD") else []
        return kept | {"PATH": path, "LD_PRELOAD": ":".join([*before, *_list_host_libraries()])}


def find_toolchain(path: str | os.PathLike[str] | None = None) -> Toolchain:
    """Returns the toolchain in the folder `path`, or else in that which `VARIABLE` names.

    Raises:
      InputError: no folder is named, or it has no tpu-mlir.
    """
    named = path or os.environ.get(VARIABLE)
    if not named:
        raise InputError(
            f"tpu-mlir is not installed here: name its environment by --toolchain or {VARIABLE}, or make one "
            "by `sesr compile --make-toolchain FOLDER`."
        )
    folder = pathlib.Path(named).absolute()
    if not (folder / "bin" / "model_transform.py").is_file():
        raise InputError(
            f"{named} has no bin/model_transform.py: a toolchain is an environment of Python 3.10 with "
            f"tpu_mlir, such as `sesr compile --make-toolchain {named}` makes."
        )
    return Toolchain(path=folder)


def make_toolchain(path: str | os.PathLike[str]) -> Toolchain:
    """Makes an environment of Python 3.10 in the folder `path`, and installs tpu-mlir there by pip.

    Raises:
      InputError: there is no Python 3.10, there is something in the folder, or an installation fails.
    """
    folder = pathlib.Path(path).absolute()
    python = shutil.which(_PYTHON)
    # A wrapper such as pyenv's may be there without a Python behind it.
    if python is None or subprocess.run([python, "--version"], capture_output=True).returncode:
        raise InputError(
            f"no {_PYTHON} runs here, which tpu-mlir {VERSION} needs; install one on the PATH."
        )
    if folder.exists() and any(folder.iterdir()):
        raise InputError(f"{path} is not empty: a toolchain is made in a new folder.")
    pip = [str(folder / "bin" / "python"), "-m", "pip", "install", "--disable-pip-version-check"]
    for command in (
        [python, "-m", "venv", str(folder)],
        [*pip, "--no-deps", f"tpu_mlir=={VERSION}"],
        [*pip, *_PACKAGES],
    ):
        if subprocess.run(command, stdin=subprocess.DEVNULL).returncode:
            raise InputError(f"the toolchain is not made, as this fails: {shlex.join(command)}")
    return find_toolchain(folder)


def _list_host_libraries() -> list[str]:
    """Returns the paths of the C library that this process runs on, and of its parts."""
    try:
        maps = pathlib.Path("/proc/self/maps").read_text("utf-8", errors="replace")
    except OSError:
        return []
    found = re.search(r"(/\S+)/libc\.so\.6$", maps, re.MULTILINE)
    if found is None:
        return []
    paths = (pathlib.Path(found[1]) / name for name in _HOST)
    return [str(path) for path in paths if path.is_file()]


def _end_group(process: subprocess.Popen[bytes]) -> None:
    """Ends the process and all that it started, which are a group of their own."""
    with contextlib.suppress(ProcessLookupError):  # it has ended, and so have they
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _find_reason(printed: str) -> str:
    """Returns the line in which a program says why it fails, without what it ran."""
    lines = [line.strip() for line in re.split(r"[\r\n]+", printed) if line.strip()]
    speaking = [
        line
        for line in lines
        if re.search(r"error|not support|unsupport|unreachable|assert|failed|no such", line, re.I)
        and not line.startswith(("File ", "[Running]", "raise "))
    ]
    # The last line of a traceback only repeats the command that failed.
    telling = [line for line in speaking if not line.startswith("RuntimeError: [!Error]")]
    line = (telling or speaking or lines or ["it says nothing"])[-1]
    return line if len(line) <= 300 else f"{line[:297]}..."
