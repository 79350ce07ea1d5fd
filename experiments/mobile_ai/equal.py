r"""The networks of the Mobile AI challenges by one recipe of one length, to be compared; RGB, ×3.

    for model in xlsr abpn tinysrnet along embededai mju_gogogo z6 sesr_m5 \
            quicksrnet_small quicksrnet_medium quicksrnet_large; do
        sesr train --config experiments/mobile_ai/equal.py:$model --workdir runs/$model \
            --config.data.train=FOLDER
        sesr train --config experiments/mobile_ai/equal.py:$model+qat --workdir runs/${model}_qat \
            --config.data.train=FOLDER --config.init=runs/$model/expanded.safetensors --config.steps=2000
    done
    sesr compare --model runs/xlsr --qat runs/xlsr_qat --model runs/abpn --qat runs/abpn_qat … \
        --data Set5 --data Set14 --data B100 --calibrate FOLDER --out runs/mobile_ai

"abpn.image", "abpn.feature" and "abpn.none" are ABPN with another residual
(`models.abpn.RESIDUALS`): the authors (Du et al., CVPR Workshops 2021) lose 1.93 dB to INT8 without one,
0.78 dB with that of features and 0.13 dB with one of the image.

20,000 steps of 8 crops of 24×24: L1, Adam, 1e-3 behind a warm-up and falling to zero by a cosine, averaged
weights. With the second config's steps four to ten minutes a network on one core, QuickSRNet-Large 38. It is
not how the teams trained, which the recipes one folder up follow. README.md beside this file has the results.
"""

from sesr_jax import train


def get_config(variant: str):
    model, _, variant = variant.partition("+")
    model, _, residual = model.partition(".")
    config = train.base()
    config.model.update(name=model, scale=3)
    if model.startswith("sesr"):
        config.model.options.update(channels=3, activation="relu")
    if residual:
        config.model.options.residual = residual
    config.optim.name = "adam"
    train.variant(config, "cpu")
    config.data.update(patch=24, batch=8)
    config.optim.warmup = 1_000  # ABPN's last rectifiers else die at once
    config.update(steps=20_000, eval_every=10_000, checkpoint_every=2_500)
    return train.variant(config, variant) if variant else config
