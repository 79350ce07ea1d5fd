"""The bundle for a board: how to run a compiled file there, which nobody has tried here."""

import inspect
import pathlib

from sesr_jax.files import write_file
from sesr_jax.graph import measure_extent
from sesr_jax.npu.compilers.tpu_mlir import on_board
from sesr_jax.npu.compilers.tpu_mlir.job import Job
from sesr_jax.npu.compilers.tpu_mlir.toolchain import VERSION

SCRIPT, README = "upscale.py", "README.md"

_TEXT = """# {name} for {title}

`{name}.bmodel` upscales an image of {width}×{height} pixels by {scale}. tpu-mlir {version} compiled it.

**It was run on tpu-mlir's simulator of the chip, and on no board.** Times below are estimates.

On the board, or on a host with the card, with SophonSDK (libsophon, and sophon-sail for Python):

```sh
bmrt_test --bmodel {name}.bmodel --loopnum 100        # the time of the chip alone
python3 upscale.py photo.jpg large.png --bmodel {name}.bmodel
```

`upscale.py` needs NumPy, Pillow and `sophon.sail`. It upscales an image of any size, in pieces of
{width}×{height} that share {halo} pixels with their neighbours{seams}, and prints the time of each step.

| file | what it is |
|---|---|
| `{name}.bmodel` | the compiled network; input and output are {channels} |
| `upscale.py` | runs it |
| `{name}.onnx` | the float network that was compiled |
| `{name}_ranges`, `calibration/` | INT8 alone: the ranges of activations; the images of the calibration |
| `compile.sh` | tpu-mlir's commands, to compile again |
| `compilation.json`, `tpu_mlir.log` | the figures below, by operator; all that tpu-mlir printed |

```text
{report}```
"""


def write_bundle(job: Job, folder: pathlib.Path, report: str) -> None:
    """Writes what a board needs beside the compiled file: a script, and a README with the estimates.

    Args:
      job: what was compiled.
      folder: where the compiled file lies.
      report: the tables of the README.

    Raises:
      InputError: a file cannot be written.
    """
    halo, reach = job.find_halo(), measure_extent(job.graph).halo
    seams = " (the network looks farther, so that seams may show)"
    source = inspect.getsource(on_board)
    write_file(folder / SCRIPT, source.replace("HALO = 0", f"HALO = {halo}", 1))
    text = _TEXT.format(
        name=job.name,
        title=job.target.title,
        width=job.size[1],
        height=job.size[0],
        scale=job.network.scale,
        version=VERSION,
        halo=halo,
        seams=seams if reach is None or reach > halo else "",
        channels="luma" if job.network.channels == 1 else "RGB",
        report=report,
    )
    write_file(folder / README, text)
