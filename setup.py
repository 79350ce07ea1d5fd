"""Packaging of sesr_jax; the version lives in sesr_jax/__init__.py alone."""

import pathlib
import re
import tomllib

from setuptools import find_packages, setup

_ROOT = pathlib.Path(__file__).parent
_VERSION = re.search(
    r'^__version__ = "([^"]+)"', (_ROOT / "sesr_jax" / "__init__.py").read_text("utf-8"), re.M
).group(1)

_SETTINGS = tomllib.loads((_ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["sesr_jax"]
_REPOSITORY = _SETTINGS["repository"].removesuffix(".git")


def _page() -> str:
    """README for a package index: without an address, links into the repository are their text alone."""
    text = (_ROOT / "README.md").read_text("utf-8")
    inside = r"\((?!https?:|#)([^)]+)\)"
    if _REPOSITORY:
        text = re.sub(rf"(!\[[^\]]*\]){inside}", rf"\1({_REPOSITORY}/raw/main/\2)", text)
        return re.sub(rf"\]{inside}", rf"]({_REPOSITORY}/blob/main/\1)", text)
    without_images = re.sub(rf"!\[[^\]]*\]{inside}\n*", "", text)
    return re.sub(rf"\[([^\]]*)\]{inside}", r"\1", without_images)


_EXTRAS = {
    "demo": ["matplotlib>=3.8", "scikit-image>=0.25"],
    "export": [
        "ai-edge-litert>=2.1",
        "flatbuffers>=24",
        "litert-converter>=0.5",
        "onnx>=1.17",
        "onnxruntime>=1.20",
        "tensorflow-cpu>=2.20",
    ],
    "grain": ["grain>=0.2.12"],
    "heic": ["pillow-heif>=1.0"],
    "npu": ["ethos-u-vela>=4.5"],
    "ray": ["ray>=2.49"],
    "tensorboard": ["tensorboardX>=2.6"],
    "tfds": ["importlib_resources", "tensorflow-cpu>=2.20", "tensorflow-datasets>=4.9.7"],
    "video": ["av>=18"],
    "bench": ["scikit-image>=0.25"],
}
_EXTRAS["test"] = [
    "hypothesis>=6.100",
    "mypy>=1.15",
    "pytest>=8",
    "pytest-xdist>=3.6",
    "ruff>=0.9",
    "setuptools>=77",  # the tests build the wheel without fetching it
    *_EXTRAS["demo"],
    *_EXTRAS["export"],
    *_EXTRAS["grain"],
    *_EXTRAS["heic"],
    *_EXTRAS["npu"],
    *_EXTRAS["ray"],
    *_EXTRAS["tensorboard"],
    *_EXTRAS["tfds"],
    *_EXTRAS["video"],
]
_EXTRAS["all"] = sorted({package for extra in _EXTRAS.values() for package in extra})

setup(
    name="sesr_jax",
    version=_VERSION,
    description="Super-resolution networks from an image folder to a full-INT8 model on a small NPU",
    long_description=_page(),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    project_urls={"Source": _REPOSITORY} if _REPOSITORY else {},
    python_requires=">=3.11",
    packages=find_packages(include=["sesr_jax", "sesr_jax.*"]),
    package_data={"sesr_jax": ["py.typed", "targets/*.toml", "pretrained/*", "web/static/*"]},
    install_requires=[
        "absl-py>=2.1",
        "chex>=0.1.89",
        "flax>=0.12",
        "jax>=0.10",
        "ml-collections>=1.0",
        "numpy>=2.0",
        "optax>=0.2.5",
        "orbax-checkpoint>=0.11.20",
        "pillow>=11.3",
        "safetensors>=0.5",
        "scipy>=1.13",
        "tqdm>=4.66",
        "typing_extensions>=4.4",
    ],
    extras_require=_EXTRAS,
    entry_points={"console_scripts": ["sesr=sesr_jax.cli.main:main"]},
)
