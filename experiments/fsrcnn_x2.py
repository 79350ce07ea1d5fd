"""FSRCNN(56, 12, 4) ×2, trained as SESR is, for a comparison of like with like.

    sesr train --config experiments/fsrcnn_x2.py --workdir runs/fsrcnn_x2 --config.data.train=FOLDER

SESR's authors report 32.47 dB on Set14 in their setup, FSRCNN's 32.62 dB.
Variants, such as "cpu": `train.variant`.
"""

from sesr_jax import train


def get_config(variant: str = "paper"):
    config = train.base()
    config.model.update(name="fsrcnn", scale=2)
    return train.variant(config, variant)
