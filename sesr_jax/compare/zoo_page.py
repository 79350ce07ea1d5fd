"""A page about the zoo: the published quality of networks over what the networks themselves cost.

write_page(make_zoo_page({("sesr_m5", 2): 3.115e9, ("vdsr", 2): 612.6e9}), "zoo.html")
"""

from collections.abc import Iterator, Mapping

from sesr_jax import report
from sesr_jax.models import VARIANTS
from sesr_jax.models.figures import list_figures
from sesr_jax.models.published import SETS


def make_zoo_page(macs: Mapping[tuple[str, int], float]) -> report.Page:
    """Returns a page with published PSNR over MACs, for each scale factor and set.

    Networks that are not in the zoo are drawn hollow, at the MACs that their papers print.

    Args:
      macs: of networks of the zoo by model and scale factor, for an output of 1280×720, as they are counted.
    """
    sections = [
        report.Section(f"×{scale}", plots)
        for scale in sorted({scale for _, scale in macs})
        if (plots := list(_make_plots(macs, scale)))
    ]
    lead = "Every PSNR is the one that a paper prints for a network, and was not measured here."
    return report.Page("Published quality of the zoo", sections, lead=lead)


def _make_plots(macs: Mapping[tuple[str, int], float], scale: int) -> Iterator[report.Scatter]:
    figures = list_figures(scale)
    for name in SETS:
        quality = {m: row.quality[name][0] for m, row in figures.items() if name in row.quality}
        points = {
            model: (number / 1e9, quality[model])
            for (model, s), number in macs.items()
            if s == scale and model in quality
        }
        others = {
            model: (printed / 1e9, psnr)
            for model, psnr in quality.items()
            if model not in VARIANTS and (printed := figures[model].macs)
        }
        if points:
            yield report.Scatter(
                points,
                {},
                x="10⁹ MACs for 1280×720",
                y="PSNR, dB",
                caption=f"{name} ×{scale}: MACs counted on the networks"
                + ("; hollow: not in the zoo, MACs as printed." if others else "."),
                logarithmic="x",
                others=others,
            )
