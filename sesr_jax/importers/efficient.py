"""The layouts of the networks for efficient super-resolution, as their authors' PyTorch code names them.

Some of these networks were trained on values from 0 to 255. The first and the last convolution of the
imported network are scaled, so that it takes and gives values from 0 to 1 and computes the same otherwise.
"""

import functools

from sesr_jax.importers.layouts import Layout
from sesr_jax.reparam import dense

_ESA = """
{theirs}.conv1  {ours}/squeeze
{theirs}.conv2  {ours}/reduce
{theirs}.conv_f {ours}/shortcut
{theirs}.conv4  {ours}/excite
"""
_DEEP_ESA = """
{theirs}.conv_max {ours}/conv_0
{theirs}.conv3    {ours}/conv_1
{theirs}.conv3_   {ours}/conv_2
"""


def _list_attention(theirs: str, ours: str, inside: str) -> str:
    """Returns the lines of an enhanced spatial attention."""
    lines = f"{_ESA.strip()}\n{inside.strip()}"
    return lines.replace("{theirs}", theirs).replace("{ours}", ours)


def _list_gates() -> str:
    """Returns the lines of the four gates of LatticeNet's blocks."""
    gates = {"fea_ca1": "first_gate", "x_ca1": "input_gate"}
    gates |= {"fea_ca2": "lattice_gate", "x_ca2": "second_gate"}
    return "\n".join(
        f"body_unit{{i}}.{theirs}.conv_{short}.{layer} block_{{i}}/{ours}/{statistic}_{step}"
        for theirs, ours in gates.items()
        for short, statistic in (("mean", "mean"), ("std", "deviation"))
        for layer, step in ((0, "squeeze"), (2, "excite"))
    )


def _list_searched(theirs: str, ours: str, *layers: str) -> str:
    """Returns the lines of one of TPSR's paths; a layer is "node kind size", and "Sep" a separable one."""
    lines = []
    for i, layer in enumerate(layers):
        node, kind, size = layer.split()
        parts = {0: f"conv_{i}", 1: f"conv_{i}_prelu"}
        if kind == "Sep":
            parts = {0: f"depthwise_{i}", 1: f"depthwise_{i}_prelu"}
            parts |= {2: f"conv_{i}", 3: f"conv_{i}_prelu"}
        name = f"{theirs}.Node_{node}_Operation_0_type_{kind}2d_{size}x{size}.model"
        lines += [f"{name}.{part} {ours}/{path}" for part, path in parts.items()]
    return "\n".join(lines)


LAYOUTS = {
    "imdn": Layout(
        project="Zheng222/IMDN",
        models=("imdn",),
        first=1,
        sizes={"features": "head"},
        table="""
            fea_conv              head
            IMDB{i}.c1            block_{i}/conv_0
            IMDB{i}.c2            block_{i}/conv_1
            IMDB{i}.c3            block_{i}/conv_2
            IMDB{i}.c4            block_{i}/conv_3
            IMDB{i}.cca.conv_du.0 block_{i}/attention/squeeze
            IMDB{i}.cca.conv_du.2 block_{i}/attention/excite
            IMDB{i}.c5            block_{i}/fuse
            c.0                   fuse
            LR_conv               body
            upsampler.0           tail
        """,
    ),
    "imdn_aim2019": Layout(
        project="cszn/KAIR, and the code of the challenges since AIM 2019",
        models=("imdn_aim2019", "fimdn"),
        sizes={"features": "head"},
        fixed={"attention": False, "fusion": False},
        table="""
            model.0                   head
            model.1.sub.{i}.conv1.0   block_{i}/conv_0
            model.1.sub.{i}.conv2.0   block_{i}/conv_1
            model.1.sub.{i}.conv3.0   block_{i}/conv_2
            model.1.sub.{i}.conv4     block_{i}/conv_3
            model.1.sub.{i}.conv1x1   block_{i}/fuse
            model.1.sub.{n}           body
            model.2                   tail
        """,
    ),
    "rfdn": Layout(
        project="njulj/RFDN",
        models=("rfdn_aim2020",),
        first=1,
        sizes={"features": "head"},
        values=(255, 255),
        table=f"""
            fea_conv    head
            B{{i}}.c1_d block_{{i}}/keep_0
            B{{i}}.c1_r block_{{i}}/conv_0
            B{{i}}.c2_d block_{{i}}/keep_1
            B{{i}}.c2_r block_{{i}}/conv_1
            B{{i}}.c3_d block_{{i}}/keep_2
            B{{i}}.c3_r block_{{i}}/conv_2
            B{{i}}.c4   block_{{i}}/conv_3
            B{{i}}.c5   block_{{i}}/fuse
            {_list_attention("B{i}.esa", "block_{i}/attention", _DEEP_ESA)}
            c.0         fuse
            LR_conv     body
            upsampler.0 tail
        """,
    ),
    "pan": Layout(
        project="zhaohengyuan1/PAN",
        models=("pan",),
        sizes={"features": "head", "upscaling_features": "upscale_0"},
        shuffled=(),
        second_stage=("upscale_1", "attention_1/gate", "refine_1"),
        table="""
            conv_first                head
            SCPA_trunk.{i}.conv1_a    block_{i}/plain_narrow
            SCPA_trunk.{i}.conv1_b    block_{i}/gated_narrow
            SCPA_trunk.{i}.k1.0       block_{i}/plain_conv
            SCPA_trunk.{i}.PAConv.k2  block_{i}/attention/gate
            SCPA_trunk.{i}.PAConv.k3  block_{i}/gated_conv
            SCPA_trunk.{i}.PAConv.k4  block_{i}/gated_last
            SCPA_trunk.{i}.conv3      block_{i}/fuse
            trunk_conv                body
            upconv1                   upscale_0
            att1.conv                 attention_0/gate
            HRconv1                   refine_0
            upconv2                   upscale_1
            att2.conv                 attention_1/gate
            HRconv2                   refine_1
            conv_last                 tail
        """,
    ),
    "latticenet": Layout(
        project="ymff0592/super-resolution",
        models=("latticenet",),
        first=1,
        blocks=4,
        sizes={"features": "head"},
        values=(255, 255),
        ends=("subtract_mean", "add_mean"),
        table=f"""
            sub_mean                    subtract_mean
            conv1                       head
            conv2                       body
            body_unit{{i}}.conv_block0.0 block_{{i}}/first_0
            body_unit{{i}}.conv_block0.2 block_{{i}}/first_1
            body_unit{{i}}.conv_block0.4 block_{{i}}/first_2
            body_unit{{i}}.conv_block1.0 block_{{i}}/second_0
            body_unit{{i}}.conv_block1.2 block_{{i}}/second_1
            body_unit{{i}}.conv_block1.4 block_{{i}}/second_2
            {_list_gates()}
            body_unit{{i}}.compress     block_{{i}}/fuse
            T_tdm1.0                    fusion_0_later
            L_tdm1.0                    fusion_0_earlier
            T_tdm2.0                    fusion_1_later
            L_tdm2.0                    fusion_1_earlier
            T_tdm3.0                    fusion_2_later
            L_tdm3.0                    fusion_2_earlier
            tail.0                      refine
            tail.1                      tail
            add_mean                    add_mean
        """,
    ),
    "rlfn": Layout(
        project="bytedance/RLFN",
        models=("rlfn", "rlfn_s", "rlfn_ntire2022"),
        first=1,
        sizes={
            "features": "head",
            "middle": "block_0/conv_0",
            "squeezed": "block_0/attention/squeeze",
        },
        values=(255, 255),
        table=f"""
            conv_1          head
            block_{{i}}.c1_r block_{{i}}/conv_0
            block_{{i}}.c2_r block_{{i}}/conv_1
            block_{{i}}.c3_r block_{{i}}/conv_2
            block_{{i}}.c5   block_{{i}}/fuse
            {_list_attention("block_{i}.esa", "block_{i}/attention", "{theirs}.conv3 {ours}/conv_0")}
            conv_2          body
            upsampler.0     tail
        """,
    ),
    "efdn": Layout(
        project="the code of NTIRE 2022 and 2025 (deployed)",
        models=("efdn",),
        blocks=4,
        sizes={"features": "head"},
        table=f"""
            head                      head
            cells.{{i}}.conv1.conv1x1  cell_{{i}}/conv_0
            cells.{{i}}.conv1.act      cell_{{i}}/prelu_0
            cells.{{i}}.conv2.rep_conv cell_{{i}}/conv_1
            cells.{{i}}.conv2.act      cell_{{i}}/prelu_1
            cells.{{i}}.conv3.rep_conv cell_{{i}}/conv_2
            cells.{{i}}.conv3.act      cell_{{i}}/prelu_2
            cells.{{i}}.branch.0       cell_{{i}}/keep_0
            cells.{{i}}.branch.1       cell_{{i}}/keep_1
            cells.{{i}}.branch.2       cell_{{i}}/keep_2
            cells.{{i}}.branch.3       cell_{{i}}/keep_3
            cells.{{i}}.fuse           cell_{{i}}/fuse
            {_list_attention("cells.{i}.att", "cell_{i}/attention", _DEEP_ESA)}
            local_fuse.0              fuse_0
            local_fuse.1              fuse_1
            local_fuse.2              fuse_2
            tail.0                    tail
        """,
    ),
    "span": Layout(
        project="hongyuanyu/SPAN, and the code of NTIRE since 2024 (deployed)",
        models=("span", "span_ntire2024", "span_tiny"),
        first=1,
        sizes={"features": "head"},
        values=(255, 1),  # it multiplies by 255 itself
        table="""
            conv_1.eval_conv            head
            block_{i}.c1_r.eval_conv    block_{i}/conv_0
            block_{i}.c2_r.eval_conv    block_{i}/conv_1
            block_{i}.c3_r.eval_conv    block_{i}/conv_2
            conv_cat                    fuse
            conv_2.eval_conv            body
            upsampler.0                 tail
        """,
    ),
    "spanv2": Layout(
        project="the code of NTIRE 2026 (deployed)",
        models=("spanv2",),
        first=1,
        blocks=5,
        sizes={"features": "block_0/conv_0"},
        ends=("block_0/conv_0", "tail"),
        form=functools.partial(dense, bias=False),
        table="""
            block_{i}.c1.conv           block_{i}/conv_0
            block_{i}.c2.conv           block_{i}/conv_1
            block_{i}.c3.conv           block_{i}/conv_2
            block_2.guidance_map_conv   block_1/gate
            block_3.guidance_map_conv   block_2/gate
            block_4.guidance_map_conv   block_3/gate
            block_5.guidance_map_conv   block_4/gate
            conv_near                   near
            depthwise_conv              depthwise
            pointwise_conv              tail
        """,
    ),
    "carn_m": Layout(
        project="nmhkahn/CARN-pytorch (mobile form)",
        models=("carn_m",),
        first=1,
        blocks=3,
        sizes={"features": "head"},
        shuffled=(),
        scales=(2, 3, 4),
        means={"sub_mean.shifter": -1, "add_mean.shifter": 1},
        table="""
            entry                head
            b{i}.b1.body.0       part_{i}/block_0/conv_0
            b{i}.b1.body.2       part_{i}/block_0/conv_1
            b{i}.b1.body.4       part_{i}/block_0/mix
            b{i}.c1.body.0       part_{i}/fuse_0
            b{i}.c2.body.0       part_{i}/fuse_1
            b{i}.c3.body.0       part_{i}/fuse_2
            c{i}.body.0          fuse_{i}
            upsample.up2.body.0  enlarge_0@2
            upsample.up3.body.0  enlarge_0@3
            upsample.up4.body.0  enlarge_0@4
            upsample.up4.body.3  enlarge_1@4
            exit                 tail
        """,
    ),
    "tpsr": Layout(
        project="royson/tpsr",
        models=("tpsr",),
        blocks=0,
        sizes={"features": "head"},
        values=(255, 255),
        ends=("head", "enlarge_1"),
        shuffled=("enlarge_0", "enlarge_1"),
        scales=(4,),
        means={"sub_mean": -255, "add_mean": 255},
        slopes="shared",
        table=f"""
            first_layer      head
            {_list_searched("early_layers", "trunk", "0 Sep 5", "1 Conv 7", "2 Conv 7")}
            {_list_searched("middle_main_layers", "main", "4 Conv 3", "5 Conv 5", "6 Sep 3")}
            {_list_searched("middle_side_layers", "side", "3 Conv 3", "7 Conv 5", "8 Conv 3")}
            {_list_searched("skip_layer", "skip", "9 Conv 7")}
            merge_op_act     prelu
            up_mod.0.extend  enlarge_0
            up_mod.1.extend  enlarge_1
        """,
    ),
}
"""The layouts by the word for ``sesr import --from``."""
