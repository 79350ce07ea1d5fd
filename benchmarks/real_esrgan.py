"""Makes training samples by Real-ESRGAN's own code, as a rival of `benchmarks.degradation`.

    PYTHON benchmarks/real_esrgan.py FOLDER IMAGES CORES LOADERS BATCH BATCHES

PYTHON has PyTorch, torchvision, OpenCV and what else the code imports; it needs neither jax nor sesr_jax.
FOLDER holds Real-ESRGAN and BasicSR, whose code and options run as they are, on the CPU in the place of a
GPU. IMAGES is a folder of PNG files. For every line of standard input so many batches are made, and the
seconds of each are printed, of wall and of processor time; the latter is zero where loaders work too.
"""

import json
import os
import pathlib
import random
import sys
import time
import types
from collections.abc import Iterator
from typing import Any

OPTIONS = "options/train_realesrgan_x4plus.yml"


def main(folder: str, images: str, cores: str, loaders: str, batch: str, batches: str) -> None:
    """Makes batches whenever it is asked to."""
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: int(cores)])
    import numpy as np
    import torch

    torch.set_num_threads(int(cores))
    random.seed(0)
    np.random.seed(0)  # noqa: NPY002 - the original draws from it
    torch.manual_seed(0)
    dataset, model = _open(pathlib.Path(folder), pathlib.Path(images), int(batch))
    endless = torch.utils.data.RandomSampler(dataset, replacement=True, num_samples=10**9)
    loader = torch.utils.data.DataLoader(
        dataset, int(batch), sampler=endless, num_workers=int(loaders), drop_last=True
    )
    next(_make_batches(loader, model, 0, 1))
    print("ready", flush=True)
    for _ in sys.stdin:
        found = list(_make_batches(loader, model, int(loaders), int(batches)))
        print(json.dumps(found), flush=True)


def _make_batches(
    loader: Any, model: Any, loaders: int, batches: int
) -> Iterator[tuple[float, float]]:
    """Yields the seconds of each batch, once every loader has given one; the loaders end with the turn."""
    data = iter(loader)
    for _ in range(loaders):
        model.feed_data(next(data))
    for _ in range(batches):
        start, used = time.perf_counter(), time.process_time()
        model.feed_data(next(data))
        used = 0.0 if loaders else time.process_time() - used
        yield time.perf_counter() - start, used


def _open(folder: pathlib.Path, images: pathlib.Path, batch: int) -> tuple[Any, Any]:
    """Returns the original's dataset of the images, and its model without networks and losses."""
    for name, place in (("basicsr", "BasicSR"), ("realesrgan", "Real-ESRGAN")):
        # Their own __init__ imports a module that their installer writes.
        package = types.ModuleType(name)
        package.__path__ = [str(folder / place / name)]
        sys.modules[name] = package
    import torch
    import yaml
    from basicsr.utils import DiffJPEG, USMSharp
    from realesrgan.data.realesrgan_dataset import RealESRGANDataset
    from realesrgan.models import realesrgan_model

    options = yaml.safe_load((folder / "Real-ESRGAN" / OPTIONS).read_text("utf-8"))
    listed = images / "meta_info.txt"
    listed.write_text("\n".join(sorted(p.name for p in images.glob("*.png"))), encoding="utf-8")
    found = {"dataroot_gt": str(images), "meta_info": str(listed)}
    dataset = RealESRGANDataset(options["datasets"]["train"] | found)

    torch.Tensor.cuda = lambda self, *_: self  # its queue is one for a GPU
    blur = realesrgan_model.filter2D
    # Padding on a CPU keeps the channels last, of which the blur takes no view.
    realesrgan_model.filter2D = lambda image, kernel: blur(image.contiguous(), kernel)
    model = realesrgan_model.RealESRGANModel.__new__(realesrgan_model.RealESRGANModel)
    model.opt, model.device, model.is_train = options, torch.device("cpu"), True
    model.jpeger, model.usm_sharpener = DiffJPEG(differentiable=False), USMSharp()
    # The queue is full, as it is after its first minute.
    size, side, scale = options["queue_size"], options["gt_size"], options["scale"]
    model.queue_size = model.queue_ptr = size // batch * batch
    model.queue_gt = torch.rand(model.queue_size, 3, side, side)
    model.queue_lr = torch.rand(model.queue_size, 3, side // scale, side // scale)
    return dataset, model


if __name__ == "__main__":
    main(*sys.argv[1:])
