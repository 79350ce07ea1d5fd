"""SESR-M3 ×2 in its hardware form, ReLU and no input residual, by the published recipe.

    sesr train --config experiments/sesr_m3_hw_x2.py --workdir runs/sesr_m3_hw_x2 --config.data.train=FOLDER

The paper prints no figure for it, but says that quality does not suffer.
Variants, such as "cpu": `train.variant`.
"""

from sesr_jax import train


def get_config(variant: str = "paper"):
    config = train.base()
    config.model.update(name="sesr_m3_hw", scale=2)
    return train.variant(config, variant)
