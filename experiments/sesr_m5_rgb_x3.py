"""SESR-M5 ×3 on RGB with ReLU, by the recipe of ×2: beside the networks of the Mobile AI challenge.

    sesr train --config experiments/sesr_m5_rgb_x3.py --workdir runs/sesr_m5_rgb_x3 --config.data.train=FOLDER
    sesr export --model runs/sesr_m5_rgb_x3 --out sesr_m5_rgb.tflite --io uint8 --calibrate FOLDER

The paper has no RGB and no ×3; the input residual is then ABPN's anchor. Variants, such as "cpu":
`train.variant`.
"""

from sesr_jax import train


def get_config(variant: str = "paper"):
    config = train.base()
    config.model.update(name="sesr_m5", scale=3, options={"channels": 3, "activation": "relu"})
    return train.variant(config, variant)
