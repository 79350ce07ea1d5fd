"""ABPN ×3 with each kind of residual, all else equal: what does INT8 cost each?

    for kind in anchor image feature none; do
        sesr train --config experiments/mobile_ai/residuals.py:$kind --workdir runs/abpn_$kind \
            --config.data.train=FOLDER
    done
    sesr compare --model runs/abpn_anchor --model runs/abpn_image --model runs/abpn_feature \
        --model runs/abpn_none --data Set5 --data Set14 --calibrate FOLDER --out runs/residuals

The recipe is that of equal.py beside this file; the kinds are `models.abpn.RESIDUALS`. The authors (Du et
al., CVPR Workshops 2021) lose 1.93 dB to INT8 without a residual, 0.78 dB with the feature-space and
0.13 dB with the image-space one. README.md beside this file has the results.
"""

from sesr_jax import train


def get_config(variant: str):
    kind, _, variant = variant.partition("+")
    config = train.base()
    config.model.update(name="abpn", scale=3)
    config.model.options.residual = kind
    config.optim.name = "adam"
    train.variant(config, "cpu")
    config.data.update(patch=24, batch=8)
    config.optim.warmup = 1_000  # ABPN's last rectifiers else die at once
    config.update(steps=10_000, eval_every=5_000, checkpoint_every=2_500)
    return train.variant(config, variant) if variant else config
