"""Data sets of TFDS, by a miniature one that the tests prepare; nothing is downloaded."""

import numpy as np
import pytest
from skimage import data

from sesr_jax.data import make_pool, sources
from sesr_jax.data.stream import make_stream
from sesr_jax.errors import InputError


@pytest.fixture(scope="module")
def photos() -> dict[str, list[dict[str, np.ndarray]]]:
    """LR and HR by split; the low resolutions are not the bicubic ones."""
    image = data.astronaut()
    pairs = [
        {"hr": image[: 40 + 2 * i, i:60], "lr": image[: 20 + i, : (60 - i) // 2]} for i in range(3)
    ]
    return {"train": pairs[:2], "validation": pairs[2:]}


@pytest.fixture(scope="module")
def miniature(photos, tmp_path_factory) -> str:
    """The name of a prepared data set, built as DIV2K is."""
    folder = tmp_path_factory.mktemp("tfds")
    tfds = pytest.importorskip("tensorflow_datasets")

    class MiniaturePhotos(tfds.core.GeneratorBasedBuilder):
        VERSION = tfds.core.Version("1.0.0")
        BUILDER_CONFIGS = (tfds.core.BuilderConfig(name="bicubic_x2"),)

        def __init__(self, **options):
            super().__init__(**{**options, "data_dir": folder})

        def _info(self):
            image = tfds.features.Image(encoding_format="png")
            features = tfds.features.FeaturesDict({"lr": image, "hr": image})
            return tfds.core.DatasetInfo(builder=self, features=features)

        def _split_generators(self, _):
            return {split: enumerate(pairs) for split, pairs in photos.items()}

        def _generate_examples(self):
            raise NotImplementedError

    return "miniature_photos/bicubic_x2"


def _ordered(pictures):
    return sorted(pictures, key=lambda p: p.hr.shape)


def test_pictures_are_those_of_the_data_set_by_split(miniature, photos):
    for spec, split in (
        (f"tfds:{miniature}", "train"),
        (f"tfds:{miniature}:validation", "validation"),
    ):
        found = sources.open_source(spec, scale=2)
        assert len(found) == len(photos[split])
        for got, want in zip(_ordered(found), photos[split], strict=True):
            np.testing.assert_array_equal(got.hr, want["hr"])
            np.testing.assert_array_equal(got.lr, want["lr"])
        assert [found.read_size(i) for i in range(len(found))] == [p.hr.shape[:2] for p in found]
        assert found.get_name(0) == f"{spec.removeprefix('tfds:')}[0]"
        assert [p.name for p in found[1:]] == [p.name for p in list(found)[1:]]


def test_they_train_from_the_device_and_from_their_files(miniature):
    found = sources.open_source(f"tfds:{miniature}", scale=2)
    pool = make_pool(found, scale=2, patch=8, shards=2)
    stream = make_stream(found, scale=2, patch=8, shards=2)
    np.testing.assert_array_equal(stream.positions, pool.positions)
    lr, hr = stream.read_crop(0)
    np.testing.assert_array_equal(lr, found[0].lr[:8, :8])
    np.testing.assert_array_equal(hr, found[0].hr[:16, :16])


def test_what_tfds_lacks_is_told(miniature, monkeypatch):
    with pytest.raises(InputError, match="'no_such_photos'"):
        sources.open_tfds("no_such_photos")
    with pytest.raises(InputError, match=f"'{miniature}:test'"):
        sources.open_tfds(f"{miniature}:test")
    monkeypatch.setitem(__import__("sys").modules, "tensorflow_datasets", None)
    with pytest.raises(InputError, match=r"sesr_jax\[tfds\]"):
        sources.open_tfds(miniature)
