"""The network of ALONG ×3 as the team trained it (Mobile AI 2021): L1, L2, then on its codes.

    sesr train --config experiments/along_x3.py --workdir runs/along_x3 --config.data.train=FOLDER
    sesr export --model runs/along_x3 --out along.tflite --io uint8

Adam from 2e-4, halved every 200 000 steps, crops of 128×128. The report gives neither the batch (here 16)
nor the parts' lengths (here 600 000, 200 000 and 100 000 steps; the later ones begin where the first ends,
at 2.5e-5). The challenge measured 29.52 dB for the INT8 file, on RGB. Variants, such as "cpu":
`train.variant`; "qat" is the last part alone.
"""

from sesr_jax import train


def get_config(variant: str = "paper"):
    config = train.base()
    config.model.update(name="along", scale=3)
    config.data.update(patch=128, batch=16)
    config.optim.update(name="adam", lr=2e-4, schedule="halving", period=200_000)
    config.steps = 600_000
    fine = {"loss": "l2", "optim": {"lr": 2.5e-5}}
    config.stages = (
        train.stage(),
        train.stage(steps=200_000, **fine),
        train.stage("quantise", steps=100_000, **fine),
    )
    return train.variant(config, variant)
