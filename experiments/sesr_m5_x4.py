"""SESR-M5 ×4 as published: starts from the ×2 with a new last layer, on LR crops of 50×50.

    sesr train --config experiments/sesr_m5_x4.py --workdir runs/sesr_m5_x4 --config.data.train=FOLDER \
        --config.init=runs/sesr_m5_x2/expanded.safetensors

The paper reports 27.81 dB on Set14. Variants, such as "cpu": `train.variant`.
"""

from sesr_jax import train


def get_config(variant: str = "paper"):
    config = train.base()
    config.model.update(name="sesr_m5", scale=4)
    config.data.patch = 50
    return train.variant(config, variant)
