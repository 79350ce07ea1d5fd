"""What a run is trained on, in words."""

import os
import pathlib
import platform
import re

import jax


def describe_hardware() -> str:
    """Returns the devices of all hosts, such as "8 × TPU v4"; for a CPU, its name and its number of cores."""
    device = jax.devices()[0]
    if device.platform != "cpu":
        return f"{jax.device_count()} × {device.device_kind}"
    details = pathlib.Path("/proc/cpuinfo")
    text = details.read_text("utf-8", errors="replace") if details.is_file() else ""
    match = re.search(r"^model name\s*:\s*(.+)$", text, re.M)
    name = match[1].strip() if match else platform.processor() or platform.machine()
    return f"CPU {name}, {os.cpu_count()} cores"
