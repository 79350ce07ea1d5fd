"""The layouts of Real-ESRGAN's networks, as their authors' PyTorch code names them.

`importers.ncnn` gives the arrays of ncnn's files the names of "srvggnet" and "rrdbnet".
"""

from sesr_jax.importers.layouts import Layout


def _list_dense_parts(theirs: str) -> str:
    """Returns the lines of the dense parts of a block; {part} and {conv} stand for numbers from 1 on."""
    return "\n".join(
        f"{theirs.format(part=part, conv=conv)} block_{{i}}/dense_{part - 1}/conv_{conv - 1}"
        for part in (1, 2, 3)
        for conv in range(1, 6)
    )


LAYOUTS = {
    "srvggnet": Layout(
        project="xinntao/Real-ESRGAN (SRVGGNetCompact)",
        models=("srvggnet_32", "srvggnet_16"),
        sizes={"features": "head"},
        table="""
            body.0       head
            body.1       head_prelu
            body.{2i+3}  prelu_{i}
            body.{2i+2}  block_{i}
            body.{2n+2}  tail
        """,
    ),
    "rrdbnet": Layout(
        project="xinntao/Real-ESRGAN (RRDBNet)",
        models=("rrdbnet", "rrdbnet_6b"),
        sizes={"features": "head", "grow": "block_0/dense_0/conv_0"},
        shuffled=(),
        unshuffled=True,
        table=f"""
            conv_first head
            {_list_dense_parts("body.{{i}}.rdb{part}.conv{conv}")}
            conv_body  body
            conv_up1   upscale_0
            conv_up2   upscale_1
            conv_hr    refine
            conv_last  tail
        """,
    ),
    "esrgan": Layout(
        project="xinntao/ESRGAN (RRDBNet under its first names)",
        models=("rrdbnet", "rrdbnet_6b"),
        sizes={"features": "head", "grow": "block_0/dense_0/conv_0"},
        shuffled=(),
        unshuffled=True,
        table=f"""
            model.0         head
            {_list_dense_parts("model.1.sub.{{i}}.RDB{part}.conv{conv}.0")}
            model.1.sub.{{n}} body
            model.3         upscale_0
            model.6         upscale_1
            model.8         refine
            model.10        tail
        """,
    ),
}
"""The layouts by the word for ``sesr import --from``."""
