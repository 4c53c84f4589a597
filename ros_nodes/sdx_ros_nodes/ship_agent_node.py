"""The ship's agent as a ROS 2 node: agent_node.py with the domain ship.

python -m sdx_ros_nodes.ship_agent_node --transport dds --ros-args -p engine:=http://127.0.0.1:8080/v1 -p audit:=audit
"""

import sys
from collections.abc import Sequence

from sdx_ros_nodes.agent_node import AgentParameters, build
from sdx_ros_nodes.shell import run_node


class ShipAgentParameters(AgentParameters):
    """Parameters of the node."""

    domain: str = "ship"


def main(argv: Sequence[str] | None = None) -> int:
    return run_node(argv, "agent", ShipAgentParameters, build, __doc__)


if __name__ == "__main__":
    sys.exit(main())
