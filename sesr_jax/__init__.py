"""Super-resolution networks from an image folder to a full-INT8 model on a small NPU."""

__version__ = "0.1.0"
