"""XLSR ×3 as Aselsan Research trained it (Ayazoglu, CVPR Workshops 2021): the winner of Mobile AI 2021.

    sesr train --config experiments/xlsr_x3.py --workdir runs/xlsr_x3 --config.data.train=FOLDER
    sesr export --model runs/xlsr_x3 --out xlsr.tflite --io uint8 --calibrate FOLDER

Charbonnier loss, Adam, crops of 32×32; the rate climbs from 5e-5 to 25e-4 in 50 epochs of 100 steps and
falls to 1e-4 until the 5000th. Crops are darkened at random, to 0.7 or 0.5 of their intensity. INT8 by
post-training quantisation. The challenge measured 29.58 dB for the INT8 file, on RGB. Variants, such as
"cpu": `train.variant`.
"""

from sesr_jax import train


def get_config(variant: str = "paper"):
    config = train.base()
    config.model.update(name="xlsr", scale=3)
    config.data.update(patch=32, batch=16, intensities=(1.0, 0.7, 0.5))
    config.optim.update(name="adam", lr=25e-4, schedule="linear", warmup=5_000)
    config.optim.update(start=0.02, final=0.04)
    config.update(loss="charbonnier", epsilon=0.1, steps=500_000)
    return train.variant(config, variant)
