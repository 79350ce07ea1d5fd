"""A page about latency: totals, what each pass takes and why, the roofline, and what would help.

write_page(make_latency_page([Candidate(name="sesr_m5_hw", report=report)]), "latency.html")
"""

import dataclasses
from collections import Counter
from collections.abc import Iterable, Sequence

from sesr_jax.npu.advice import Idea
from sesr_jax.npu.estimate import Report, Row
from sesr_jax.npu.tiling import Tiling
from sesr_jax.report import Bars, Block, Page, Paragraph, Scatter, Section, Table
from sesr_jax.targets import Target


@dataclasses.dataclass(frozen=True, kw_only=True)
class Candidate:
    """A network on a target.

    Attributes:
      name: the network's name.
      report: its estimate.
      ideas: changes of the network, with what they save.
      tiling: how a frame is cut into tiles; None where nobody asked.
      psnr: its quality in dB; None where it is not known.
    """

    name: str
    report: Report
    ideas: Sequence[Idea] = ()
    tiling: Tiling | None = None
    psnr: float | None = None


_PARTS = ("mac", "vector", "read", "write", "serial")
"""What can bind a pass, in an order that gives each the same colour in every plot."""

SUMMARY = (
    *("network", "target", "ms", "FPS", "not run", "bound by"),
    *("GMAC", "DRAM MB", "SRAM KiB", "use", "mJ"),
)
"""The header of `make_summary_row`."""


def make_summary_row(candidate: Candidate) -> list[str]:
    """Returns the totals of one report.

    "not run" counts the passes that the target cannot run, and "bound by" is the part that binds the
    passes which take most of the time together.
    """
    report = candidate.report
    return [
        candidate.name,
        report.target.name,
        f"{report.seconds * 1e3:.2f}",
        f"{report.fps:.1f}",
        str(len(report.flagged)),
        _find_main_bound(report),
        f"{report.macs / 1e9:.2f}",
        f"{report.dram_bytes / 1e6:.1f}",
        f"{report.peak_sram_bytes / 1024:.0f}",
        f"{report.utilisation:.0%}",
        "–" if report.joules is None else f"{report.joules * 1e3:.1f}",
    ]


def _find_main_bound(report: Report) -> str:
    """Returns the part that binds the passes which take most cycles together; "" where there are none."""
    cycles: Counter[str] = Counter()
    for row in report.rows:
        cycles[row.bound] += row.cycles  # type: ignore[assignment]
    return max(cycles, key=cycles.__getitem__, default="")


def make_latency_page(candidates: Sequence[Candidate]) -> Page:
    """Returns a page of one or several reports."""
    sections = [Section("Totals", [Table(SUMMARY, [make_summary_row(r) for r in candidates])])]
    if len({r.name for r in candidates if r.psnr is not None}) > 1:
        sections.append(Section("Quality and latency", [_make_pareto_plots(candidates)]))
    sections += [_make_section(r) for r in candidates]
    sections += [
        Section(f"Where the figures of {target.name} come from", [_make_source_table(target)])
        for target in dict.fromkeys(r.report.target for r in candidates)
    ]
    names = ", ".join(dict.fromkeys(r.name for r in candidates))
    targets = ", ".join(dict.fromkeys(r.report.target.title for r in candidates))
    return Page(f"Latency of {names}", sections, lead=f"Estimated, not measured, for {targets}.")


def _make_section(candidate: Candidate) -> Section:
    report = candidate.report
    clock = report.target.clock_hz
    milliseconds = {
        f"{i}  {row.name}": dict.fromkeys(_PARTS, 0.0) | {row.bound: row.cycles / clock * 1e3}
        for i, row in enumerate(report.rows)
    }
    blocks: list[Block] = [
        Paragraph(report.summarise()),
        *map(Paragraph, report.list_warnings()),
        Bars(
            milliseconds,
            x="ms",
            caption="Milliseconds per pass; the colour is what the pass is bound by.",
        ),
        Bars(
            {
                f"{i}  {row.name}": {"read": row.read_bytes / 1e6, "write": row.write_bytes / 1e6}
                for i, row in enumerate(report.rows)
            },
            x="DRAM, MB",
            caption="Traffic per pass; a tensor that a cascade keeps on chip causes none.",
        ),
        _make_roofline(report),
    ]
    if candidate.tiling is not None:
        blocks += [Paragraph(line.strip()) for line in candidate.tiling.to_text().splitlines()]
    blocks += _make_idea_tables(candidate)
    header = [name for name in _HEADER if name != "not run" or report.flagged]
    rows = [dict(zip(_HEADER, _format_cells(row, clock), strict=True)) for row in report.rows]
    blocks.append(Table(header, [[row[name] for name in header] for row in rows]))
    return Section(f"{candidate.name} on {report.target.name}", blocks)


def _make_idea_tables(candidate: Candidate) -> list[Block]:
    """Returns what would help, and apart from it what would not."""
    whole = candidate.report.seconds
    saved = [idea for idea in candidate.ideas if round(idea.seconds * 1e3, 2) > 0]
    others = [idea for idea in candidate.ideas if idea not in saved]
    blocks: list[Block] = []
    if saved:
        rows = [
            [idea.text, f"{idea.seconds * 1e3:.2f}", f"{idea.seconds / whole:.0%}"]
            for idea in saved
        ]
        blocks.append(Table(["what would help", "ms saved", "of the frame"], rows))
    if others:
        rows = [[idea.text, f"{round(-idea.seconds * 1e3, 2) + 0:.2f}"] for idea in others]
        blocks.append(Table(["what would not help", "ms more"], rows))
    return blocks


def find_pareto_front(points: Iterable[tuple[float, float]]) -> list[tuple[float, float]]:
    """Returns the points (seconds, PSNR) that no other beats or equals in both, the fastest first."""
    front: list[tuple[float, float]] = []
    for seconds, psnr in sorted(points, key=lambda point: (point[0], -point[1])):
        if not front or psnr > front[-1][1]:
            front.append((seconds, psnr))
    return front


def _make_pareto_plots(candidates: Sequence[Candidate]) -> Scatter:
    """Returns networks by latency and PSNR, with the front of each target."""
    points: dict[str, tuple[float, float]] = {}
    groups: dict[str, str] = {}
    targets: dict[str, list[tuple[float, float]]] = {}
    several = len({r.report.target.name for r in candidates}) > 1
    for r in candidates:
        if r.psnr is not None:
            target = r.report.target.name
            place = (r.report.seconds * 1e3, r.psnr)
            name = f"{r.name}, {target}" if several else r.name
            points[name], groups[name] = place, f"front on {target}"
            targets.setdefault(target, []).append(place)
    fronts = {target: find_pareto_front(places) for target, places in targets.items()}
    return Scatter(
        points,
        {
            f"front on {target}": ([x for x, _ in front], [y for _, y in front])
            for target, front in fronts.items()
        },
        x="ms",
        y="PSNR, dB",
        caption="A network lies on its target's front if no other is better in both.",
        logarithmic="",
        groups=groups,
    )


def _make_source_table(target: Target) -> Table:
    return Table(["figure", "source"], list(target.sources.items()))


_HEADER = (
    *("pass", "ms", "not run", "bound by", "op"),
    *("cascade", "schedule", "GMAC", "DRAM MB", "SRAM KiB", "use"),
)


def _format_cells(row: Row, clock: float) -> list[str]:
    return [
        row.name,
        f"{row.cycles / clock * 1e3:.3f}",
        row.flag,
        row.bound,
        row.op,
        str(row.cascade),
        row.schedule,
        f"{row.macs / 1e9:.3f}",
        f"{row.dram_bytes / 1e6:.2f}",
        f"{row.sram_bytes / 1024:.0f}",
        f"{row.utilisation:.0%}",
    ]


def _make_roofline(report: Report) -> Scatter:
    """Returns the rate of each pass that computes over its MACs per byte, under the target's roof."""
    target = report.target
    places: dict[tuple[float, float], list[str]] = {}
    for i, row in enumerate(report.rows):
        if row.macs_run and row.cycles:
            rate = row.macs / row.cycles * target.clock_hz / 1e9
            places.setdefault((row.macs / max(row.dram_bytes, 1), rate), []).append(str(i))
    points = {", ".join(names): place for place, names in places.items()}
    peak = target.mac.macs_per_cycle * target.clock_hz / 1e9
    bandwidth = target.memory.dram_bytes_per_cycle * (1 + target.memory.duplex)
    bandwidth *= target.clock_hz / 1e9
    ridge = peak / bandwidth
    intensities = [x for x, _ in points.values()] or [ridge]
    low, high = min(*intensities, ridge) / 2, max(*intensities, ridge) * 2
    return Scatter(
        points,
        {"roof": ([low, ridge, high], [low * bandwidth, peak, peak])},
        x="MACs per byte of DRAM",
        y="10⁹ MACs per second",
        caption=f"Passes by number; the roof is {peak:.0f} · 10⁹ MACs per second, {bandwidth:.1f} GB/s.",
    )
