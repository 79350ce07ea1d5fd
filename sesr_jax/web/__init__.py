"""A page that upscales photos in a browser, by the very .tflite files that were exported."""

from sesr_jax.web.pages import WEB_TILE, write_web_page
from sesr_jax.web.server import make_server

__all__ = ["WEB_TILE", "make_server", "write_web_page"]
