"""The tiles in which an NPU upscales a photo fastest.

tiling = find_best_photo_tiling(find_network("sesr_m5_x2"), (480, 640), find_target("ethos-n78-4tops"))
upscale_photo(from_network(network), photo, tile=tiling.tile)
"""

from sesr_jax.models.network import Network
from sesr_jax.npu.layers import layers_from_graph
from sesr_jax.npu.tiling import Tiling, find_best_tiling
from sesr_jax.targets import Target
from sesr_jax.upscale import find_photo_halo, from_network


def find_best_photo_tiling(network: Network, size: tuple[int, int], target: Target) -> Tiling:
    """Returns the tiles in which `target` takes the least time for a photo of `size`, its colours included.

    Args:
      network: the trained network, expanded or collapsed.
      size: the photo's height and width, which are rounded up to what the network takes.
      target: the NPU.

    Raises:
      InputError: the network looks at the whole image; or as `find_best_tiling`.
    """
    upscaler = from_network(network)
    halo, align = find_photo_halo(upscaler), upscaler.extent.align
    height, width = (n + -n % align for n in size)
    graph = network.collapse().trace((1, height, width, network.channels))
    layers = layers_from_graph(graph)
    return find_best_tiling(layers, target, frame=(height, width), halo=halo, align=align)
