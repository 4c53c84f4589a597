"""A Ray cluster on this machine for tests: a head without CPUs and nodes with one each. One JSON line answers each line that is given.

python cluster_process.py NODES [CLIENT_PORT]      then: "busy WORD" -> id of the node that runs such a process, or null;
                                                   "kill ID"; "add"; the end of input ends it all
"""

import contextlib
import json
import os
import sys
from typing import Any

import psutil

os.environ |= {"RAY_USAGE_STATS_ENABLED": "0", "RAY_worker_niceness": "0"}
STORE = 100 * 2**20


def busy(nodes: list[Any], word: str) -> str | None:
    for node in nodes:
        raylet = node.all_processes["raylet"][0].process
        with contextlib.suppress(psutil.NoSuchProcess):
            for child in psutil.Process(raylet.pid).children(recursive=True):
                with contextlib.suppress(psutil.NoSuchProcess, psutil.AccessDenied):
                    if word in " ".join(child.cmdline()):
                        return str(node.node_id)
    return None


def main(count: int, client_port: int | None) -> None:
    from ray.cluster_utils import Cluster

    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # Ray's own lines go beside the answers
    head = {"num_cpus": 0, "object_store_memory": STORE, "include_dashboard": False, "ray_client_server_port": client_port}
    cluster = Cluster(initialize_head=True, head_node_args=head)
    nodes = [cluster.add_node(num_cpus=1, object_store_memory=STORE) for _ in range(count)]
    print(json.dumps(cluster.address), file=answers, flush=True)
    for line in sys.stdin:
        command, _, word = line.strip().partition(" ")
        said: Any = True
        if command == "busy":
            said = busy(nodes, word)
        elif command == "kill":
            node = next(node for node in nodes if node.node_id == word)
            nodes.remove(node)
            cluster.remove_node(node, allow_graceful=False)
        elif command == "add":
            nodes.append(cluster.add_node(num_cpus=1, object_store_memory=STORE))
        print(json.dumps(said), file=answers, flush=True)
    cluster.shutdown()


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else None)
