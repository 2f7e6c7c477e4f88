"""A Ray cluster of two nodes on this machine: `python two_nodes.py`, with `RAY_TMPDIR` set.

The nodes have the addresses 127.0.0.2 and 127.0.0.3, so that every socket stays on loopback. Writes the address of the
cluster, then obeys the lines that come in: `kill` kills the second node's processes (SIGKILL), the end of input both.
"""

from __future__ import annotations

import sys

from ray.cluster_utils import Cluster

NODE = {"num_cpus": 2, "object_store_memory": 100 << 20}


def main() -> None:
    """Serve until the input ends."""
    cluster = Cluster(
        initialize_head=True, head_node_args={**NODE, "node_ip_address": "127.0.0.2", "include_dashboard": False}
    )
    try:
        second = cluster.add_node(**NODE, node_ip_address="127.0.0.3")
        print(cluster.address, flush=True)
        for line in sys.stdin:
            if line.strip() == "kill":
                cluster.remove_node(second, allow_graceful=False)
                print("killed", flush=True)
    finally:
        cluster.shutdown()


if __name__ == "__main__":
    main()
