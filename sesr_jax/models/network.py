"""A network with its variables, and its file: safetensors that say what they are.

    network = Network(name="sesr_m5", scale=2, variables=variables)
    save(network.collapsed(), "sesr_m5_x2.safetensors")
    y = load("sesr_m5_x2.safetensors").apply(x)

The file holds every array under its path in the tree; a term's class and static fields stand beside
the model, the scale and the options in the metadata, as JSON. Nothing is pickled.
"""
