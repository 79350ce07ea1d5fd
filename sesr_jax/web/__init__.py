"""A page that upscales photos in a browser, by the very .tflite files that were exported."""

from sesr_jax.web.facts import find_facts
from sesr_jax.web.library import fetch_library
from sesr_jax.web.pages import WEB_TILE, write_web_page
from sesr_jax.web.server import make_server

__all__ = [
    "WEB_TILE",
    "fetch_library",
    "find_facts",
    "make_server",
    "write_web_page",
]
