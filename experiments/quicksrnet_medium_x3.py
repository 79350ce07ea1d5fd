"""QuickSRNet-Medium ×3 (Berger et al., CVPR Workshops 2023) by SESR's recipe, to compare like with like.

    sesr train --config experiments/quicksrnet_medium_x3.py --workdir runs/quicksrnet_medium_x3 \
        --config.data.train=FOLDER

The paper has figures of ×2 on luma alone. Variants, such as "cpu": `train.variant`.
"""

from sesr_jax import train


def get_config(variant: str = "paper"):
    config = train.base()
    config.model.update(name="quicksrnet_medium", scale=3)
    return train.variant(config, variant)
