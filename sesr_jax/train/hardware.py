"""What a run is trained on, in words."""

import os
import pathlib
import platform
import re

import jax


def hardware() -> str:
    """The devices of all hosts, such as "8 × TPU v4"; of a CPU its name and the number of its cores."""
    device = jax.devices()[0]
    if device.platform != "cpu":
        return f"{jax.device_count()} × {device.device_kind}"
    told = pathlib.Path("/proc/cpuinfo")
    text = told.read_text("utf-8", errors="replace") if told.is_file() else ""
    named = re.search(r"^model name\s*:\s*(.+)$", text, re.M)
    name = named[1].strip() if named else platform.processor() or platform.machine()
    return f"CPU {name}, {os.cpu_count()} cores"
