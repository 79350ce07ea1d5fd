"""Under what terms the sources of well-known data sets offer them, for whoever states what a network saw.

print(terms("CID22"))

What a source says of its own set, not advice; "none stated" means that the source is silent.
"""

TERMS = {
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
"""By the name of a set's folder."""


def terms(name: str) -> str:
    """The terms of the set called `name`."""
    return TERMS.get(name, "not known here; ask its source")
