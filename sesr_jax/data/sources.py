"""Sources of images: folders of image files, data sets of TFDS, or the photos that scikit-image ships.

A source is a `Sequence` of `ImagePair`. It reads an image only when it is indexed, so that a set larger
than memory can be iterated several times.

    for image in open_source("Set5", scale=2):
        train_on(image.hr, image.get_low_resolution(2))

A grey file stays ``[H, W]``; its user decides whether its values are luma or R = G = B (see
`sesr_jax.metrics.protocol`).
"""

import collections
import dataclasses
import importlib.util
import os
import pathlib
from collections.abc import Sequence
from typing import Literal, overload

import numpy as np

from sesr_jax.data import resize
from sesr_jax.data.image_files import list_images, read_image_size
from sesr_jax.data.images import read_image
from sesr_jax.errors import InputError, MissingError, find_reason, look_up

# No scene is in both splits: the right view of the motorcycle, for example, is left out.
_EMBEDDED = {
    "train": (
        "brick.png",
        "camera.png",
        "coins.png",
        "grass.png",
        "gravel.png",
        "ihc.png",
        "motorcycle_left.png",
        "rocket.jpg",
    ),
    "eval": ("astronaut.png", "chelsea.png", "coffee.png"),
}


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class ImagePair:
    """One image of a set.

    Attributes:
        name: the file's path within its set, without the suffix where the name is unique without it.
        hr: the high resolution, uint8 ``[H, W]`` or ``[H, W, 3]``.
        lr: the low resolution that the set holds, uint8 of the same rank; None where it holds none.
    """

    name: str
    hr: np.ndarray
    lr: np.ndarray | None = None

    def get_low_resolution(self, scale: int) -> np.ndarray:
        """Returns `lr`, or the bicubic low resolution where that is None: uint8 ``[H // s, W // s, ...]``.

        Raises:
            InputError: `lr` has another size, or `hr` is smaller than `scale`.
        """
        if self.lr is None:
            return resize.make_low_resolution(self.hr, scale)
        if self.lr.shape[:2] != tuple(n // scale for n in self.hr.shape[:2]):
            raise InputError(
                f"{self.name} has a low resolution of {self.lr.shape[:2]}: it must be 1/{scale} of "
                f"{self.hr.shape[:2]}."
            )
        return self.lr


@dataclasses.dataclass(frozen=True)
class Source(Sequence[ImagePair]):
    """Images that are read when they are indexed; a slice is another source.

    Attributes:
        files: the name, the HR file and the LR file (or None) of each image.
    """

    files: tuple[tuple[str, pathlib.Path, pathlib.Path | None], ...]

    def __len__(self) -> int:
        return len(self.files)

    def get_name(self, index: int) -> str:
        """Returns an image's name, without reading it."""
        return self.files[index][0]

    def read_size(self, index: int) -> tuple[int, int]:
        """Returns the height and the width of an image, from the header of its file.

        Raises:
            InputError: see `read_image_size`.
        """
        return read_image_size(self.files[index][1])

    @overload
    def __getitem__(self, index: int) -> ImagePair: ...
    @overload
    def __getitem__(self, index: slice) -> "Source": ...
    def __getitem__(self, index: int | slice) -> "ImagePair | Source":
        if isinstance(index, slice):
            return Source(self.files[index])
        name, hr, lr = self.files[index]
        return ImagePair(name=name, hr=read_image(hr), lr=None if lr is None else read_image(lr))


@dataclasses.dataclass(frozen=True, eq=False)
class TfdsSource(Sequence[ImagePair]):
    """Images of a data set that TensorFlow Datasets has prepared; it behaves like `Source`.

    Attributes:
        spec: the data set and its split, such as ``div2k/bicubic_x2:train``.
        examples: the bytes of each example's files, by feature.
        indices: the indices of the examples that belong to this source.
    """

    spec: str
    examples: Sequence[dict[str, bytes]]
    indices: range

    def __len__(self) -> int:
        return len(self.indices)

    @overload
    def __getitem__(self, index: int) -> ImagePair: ...
    @overload
    def __getitem__(self, index: slice) -> "TfdsSource": ...
    def __getitem__(self, index: int | slice) -> "ImagePair | TfdsSource":
        if isinstance(index, slice):
            return dataclasses.replace(self, indices=self.indices[index])
        example = self.examples[self.indices[index]]
        lr = read_image(example["lr"]) if "lr" in example else None
        return ImagePair(name=self.get_name(index), hr=read_image(_get_hr(example)), lr=lr)

    def get_name(self, index: int) -> str:
        """Returns a name made of the data set and the example's index."""
        return f"{self.spec}[{self.indices[index]}]"

    def read_size(self, index: int) -> tuple[int, int]:
        """Returns height and width of an image, from the header of its file."""
        return read_image_size(_get_hr(self.examples[self.indices[index]]))


def _get_hr(example: dict[str, bytes]) -> bytes:
    return example["hr"] if "hr" in example else example["image"]


ImageSet = Source | TfdsSource
"""The sources that `open_source` returns."""


def open_tfds(spec: str) -> TfdsSource:
    """Returns a split of a data set of TensorFlow Datasets, such as ``div2k/bicubic_x2:train``.

    Its images are the features "hr" (or "image") and "lr"; "lr" is optional and must be of the scale that
    is trained. A data set that is not prepared yet is downloaded to the folder TFDS_DATA_DIR of the
    environment. It is stored as ArrayRecord, which allows access by index.

    Raises:
        InputError: TFDS is not installed, or it knows no such data set, split or features, or cannot
            download it.
    """
    name, _, split = spec.partition(":")
    try:
        import tensorflow_datasets

        builder = tensorflow_datasets.builder(name, file_format="array_record")
        if not builder.is_prepared():
            builder.download_and_prepare()
        features = [key for key in ("lr", "hr", "image") if key in builder.info.features]
        skip = tensorflow_datasets.decode.SkipDecoding()
        examples = builder.as_data_source(split or "train", decoders=dict.fromkeys(features, skip))
    except ImportError as error:
        raise MissingError(
            f"data sets of TFDS need tensorflow-datasets and TensorFlow ({error}): run "
            'pip install "sesr_jax[tfds]".'
        ) from error
    except Exception as error:  # TFDS and its downloads raise nearly anything
        raise MissingError(
            f"TFDS has no data set and split {spec!r}, or cannot download it: {find_reason(error)}"
        ) from error
    if not {"hr", "image"} & set(features):
        raise InputError(
            f"the data set {name} holds no images: it must have a feature 'hr' or 'image', as "
            "div2k/bicubic_x2 has."
        )
    return TfdsSource(spec, examples, range(len(examples)))


def open_folder(
    path: str | os.PathLike[str],
    lr: str | os.PathLike[str] | None = None,
    scale: int | None = None,
) -> Source:
    """Returns the images of a folder, sorted by path.

    There are two layouts. A benchmark has its images in ``HR`` and, for some scales, MATLAB's low
    resolutions in ``LR_bicubic/X{scale}``, which are read if `scale` is given. Any other folder is
    read with all the folders inside, except those named ``LR_…``.

    Args:
        path: the folder.
        lr: the folder of the low resolutions, for a set that keeps them elsewhere; needs `scale`. Each
            has the name of its HR file, with or without ``x{scale}`` behind (``0801x2.png``).
        scale: the scale of the low resolutions; without it none is read.

    Raises:
        InputError: a folder is missing or empty, or an HR file has no low resolution in the LR folder.
    """
    root = pathlib.Path(path)
    if lr is not None and scale is None:
        raise InputError(f"the low resolutions in {lr} need a scale.")
    if (root / "HR").is_dir():
        shipped = root / "LR_bicubic" / f"X{scale}"
        if lr is None and shipped.is_dir():
            lr = shipped
        root = root / "HR"
    files = [
        file.relative_to(root)
        for file in list_images(root, recursive=True)
        if not any(part.startswith("LR_") for part in file.relative_to(root).parts[:-1])
    ]
    if not files:
        raise InputError(
            f"{root} holds low resolutions alone: it must be the folder of the high resolutions."
        )
    low = {} if lr is None else {file.stem: file for file in list_images(lr)}
    stems = collections.Counter(file.stem for file in files)
    if low and (duplicates := [stem for stem, count in stems.items() if count > 1]):
        raise InputError(
            f"{root} holds {stems[duplicates[0]]} images named {duplicates[0]}: names must differ where the "
            "set has low resolutions, which are found by the name."
        )
    pairs = []
    for file in files:
        match = low.get(f"{file.stem}x{scale}") or low.get(file.stem)
        if low and match is None:
            raise InputError(
                f"{root / file} has no low resolution in {lr}: each image must have one."
            )
        pairs.append((file, match))
    names = [file.with_suffix("") for file, _ in pairs]
    twice = {name for name, count in collections.Counter(names).items() if count > 1}
    return Source(
        tuple(
            ((file if name in twice else name).as_posix(), root / file, match)
            for name, (file, match) in zip(names, pairs, strict=True)
        )
    )


def open_embedded(split: Literal["train", "eval"]) -> Source:
    """Returns the photos that scikit-image ships in its package: 8 for training, 3 others for evaluation.

    Nothing is downloaded. The demo and the tests use them; no figure on them has been published.

    Raises:
        InputError: the split has another name, or scikit-image is not installed.
    """
    files = look_up("embedded split", split, _EMBEDDED)
    package = importlib.util.find_spec("skimage")
    if package is None or package.origin is None:
        raise MissingError(
            "the embedded photos come with scikit-image, which is not installed: run "
            'pip install "sesr_jax[demo]".'
        )
    data = pathlib.Path(package.origin).parent / "data"
    return Source(tuple((pathlib.Path(file).stem, data / file, None) for file in files))


def open_source(spec: str, scale: int | None = None) -> ImageSet:
    """Returns the source that `spec` names on a command line or in a config.

    ``embedded:train``, ``embedded:eval``, ``tfds:div2k/bicubic_x2`` (``…:validation``), or a folder.

    Raises:
        InputError: see `open_embedded`, `open_tfds` and `open_folder`.
    """
    kind, _, split = spec.partition(":")
    if kind == "embedded":
        return open_embedded(split)  # type: ignore[arg-type]  # it refuses other names
    if kind == "tfds":
        return open_tfds(split)
    return open_folder(spec, scale=scale)
