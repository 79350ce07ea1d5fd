"""Starts a Ray cluster of two nodes on 127.0.0.1, prints its address, and stops it when the input ends."""

import sys

from ray.cluster_utils import Cluster

_NODE = {"num_cpus": 1, "object_store_memory": 80 * 2**20, "include_log_monitor": False}

if __name__ == "__main__":
    head = {**_NODE, "include_dashboard": False, "no_monitor": True}
    cluster = Cluster(initialize_head=True, head_node_args=head)
    cluster.add_node(**_NODE)
    print(cluster.address, flush=True)
    sys.stdin.read()
    cluster.shutdown()
