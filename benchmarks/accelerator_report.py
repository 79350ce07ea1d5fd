"""The report of `benchmarks.accelerator` in some lines."""

from collections.abc import Mapping
from typing import Any

Report = dict[str, Any]
"""What has been found, as JSON holds it."""


def format_report(report: Report) -> str:
    """Returns the report in some lines."""
    lines = [f"FAILED {failure}" for failure in report["failed"]]
    if machine := report.get("machine"):
        missing = [name for name, version in machine["packages"].items() if version is None]
        lines += [f"Python {machine['python']}, {machine['devices'] or 'no NVIDIA device'}"]
        lines += [f"not installed: {', '.join(missing)}"] if missing else []
    if check := report.get("check"):
        lines += [
            f"a tiny training on {check['device']} is {check['difference']:.1e} from the CPU's"
        ]
    if step := report.get("step"):
        lines += _format_step(step)
    for model, found in report.get("trained", {}).items():
        scores = " ".join(f"{key} {value:.4f}" for key, value in found.get("scores", {}).items())
        lines.append(f"{model}: {found.get('step', 0):,} steps; {scores or 'not scored'}")
    return "\n".join(lines)


def _format_step(step: Mapping[str, Any]) -> list[str]:
    limits, work, lines = step["limits"], step["work"], []
    if "bytes_per_second" in limits:
        lines.append(f"memory: {limits['bytes_per_second'] / 1e9:.3g} GB/s")
    for name, product in limits.items():
        if isinstance(product, dict):
            ran = "TF32" if name.startswith("float32") and not product["uses_all_bits"] else name
            lines.append(
                f"products in {name}: {product['flops_per_second'] / 1e12:.3g} TFLOP/s, relative error "
                f"{product['relative_error']:.1e}, which is that of {ran}"
            )
    for case, found in step["steps"].items():
        each = found["seconds"] / found["seeds"]
        line = f"{case}: {found['seconds'] * 1e3:.3f} ms per step, {each * 1e3:.3f} ms per network"
        if found["precision"] in limits:
            size = 0.5 if found["precision"] == "bfloat16" else 1.0
            by_work = work["flops"] / limits[found["precision"]]["flops_per_second"]
            by_bytes = size * work["bytes"] / limits["bytes_per_second"]
            line += f", {max(by_work, by_bytes) / each:.1%} of the roofline"
        lines.append(line)
    lines += [
        f"{kernel['share']:6.1%} in {kernel['calls']} × {kernel['kernel'][:80]}"
        for kernel in step.get("profile", [])
    ]
    return lines
