"""ABPN ×3 with each kind of residual, all else equal: what does INT8 cost each?

    for kind in anchor image feature none; do
        sesr train --config experiments/ablations/residuals.py:$kind --workdir runs/abpn_$kind \
            --config.data.train=FOLDER
        sesr train --config experiments/ablations/residuals.py:$kind+cpu+qat --workdir runs/abpn_${kind}_qat \
            --config.data.train=FOLDER --config.init=runs/abpn_$kind/expanded.safetensors --config.steps=5000
    done
    sesr compare --model runs/abpn_anchor --model runs/abpn_image … --qat runs/abpn_anchor_qat … \
        --data Set5 --data Set14 --calibrate FOLDER --out runs/residuals

The authors (Du et al., CVPR Workshops 2021) lose 1.93 dB to INT8 without a residual, 0.78 dB with the
feature-space and 0.13 dB with the image-space one. The kinds are `models.abpn.RESIDUALS`; variants follow
them behind a "+", "cpu" where there is none: `train.variant`.
"""

from sesr_jax import train


def get_config(variant: str = "anchor"):
    kind, _, variant = variant.partition("+")
    config = train.base()
    config.model.update(name="abpn", scale=3)
    config.model.options.residual = kind
    config.optim.name = "adam"
    return train.variant(config, variant or "cpu")
