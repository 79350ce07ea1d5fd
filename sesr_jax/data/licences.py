"""The licences of well-known data sets, which a model card lists.

    print(find_licence("CID22"))

A licence is quoted from the source of the set; "none stated" means that the source states none.
"""

LICENCES = {
    "B100": "none stated",
    "CID22": "CC BY-SA 4.0",
    "DIV2K": "academic research only",
    "DIV2K_Y": "academic research only",
    "DIV2K_sharp": "academic research only",
    "GB82": "CC0",
    "General100": "none stated",
    "Set14": "none stated",
    "Set5": "none stated",
    "T91": "none stated",
    "embedded:eval": "as scikit-image states for each photo",
    "embedded:train": "as scikit-image states for each photo",
}
"""The licence of each data set, by the name of its folder."""


def find_licence(name: str) -> str:
    """Returns the licence of the set called `name`."""
    return LICENCES.get(name, "not known here; ask its source")
