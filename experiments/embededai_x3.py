"""The network of EmbededAI ×3 as the team trained it (Mobile AI 2021): identity + 1×1 + 3×3, merged.

    sesr train --config experiments/embededai_x3.py --workdir runs/embededai_x3 --config.data.train=FOLDER
    sesr export --model runs/embededai_x3 --out embededai.tflite --io uint8 --calibrate FOLDER

L1, Adam from 5e-4, halved every 200 of 600 epochs, batch 32 of 64×64; an epoch is here 1600 steps, as in
ECBSR's recipe, whose first author entered it. INT8 by post-training quantisation. Its PSNR in the
challenge is not known here. Variants, such as "cpu": `train.variant`.
"""

from sesr_jax import train


def get_config(variant: str = "paper"):
    config = train.base()
    config.model.update(name="embededai", scale=3)
    config.optim.update(name="adam", schedule="halving", period=320_000)
    config.steps = 960_000
    return train.variant(config, variant)
