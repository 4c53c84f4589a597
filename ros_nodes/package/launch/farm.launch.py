"""House, guard with controller, and agent on ROS 2.

ros2 launch sdx_ros_nodes farm.launch.py namespace:=/farm/house1 simulate:=false equipment:=modbus://10.0.0.7 facts:=facts.yaml
"""

from ament_index_python.packages import get_package_share_directory
from launch import LaunchDescription
from launch.actions import DeclareLaunchArgument
from launch.conditions import IfCondition
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import Node

SHARE = get_package_share_directory("sdx_ros_nodes")
DOMAIN = "farm"


def generate_launch_description() -> LaunchDescription:
    """A guard that died comes back after a second; the devices go into their safe positions if it stays away."""
    common = [f"{SHARE}/config/{DOMAIN}.yaml"]

    def node(executable: str, role: str, **more: object) -> Node:
        return Node(
            package="sdx_ros_nodes",
            executable=executable,
            name=f"{DOMAIN}_{role}",
            namespace=LaunchConfiguration("namespace"),
            output="screen",
            respawn=True,
            respawn_delay=1.0,
            arguments=["--transport", "rclpy"],
            **more,
        )

    simulate = LaunchConfiguration("simulate")
    guard = {
        "use_sim_time": simulate,
        "equipment": LaunchConfiguration("equipment"),
        "site": LaunchConfiguration("site"),
        "facts": LaunchConfiguration("facts"),
    }
    return LaunchDescription(
        [
            DeclareLaunchArgument("namespace", default_value=f"/{DOMAIN}", description="a house of its own: /farm/house1"),
            DeclareLaunchArgument("scenario", default_value="", description="of the simulated house; empty: the domain's first"),
            DeclareLaunchArgument("engine", default_value="none", description="OpenAI-compatible address of the model; none: planner"),
            DeclareLaunchArgument("simulate", default_value="true", description="false: a real house"),
            DeclareLaunchArgument("equipment", default_value="topics", description="topics, or the address of a bus: modbus://host:port"),
            DeclareLaunchArgument("site", default_value="", description="file: which device is where on the bus"),
            DeclareLaunchArgument("facts", default_value="", description="file of what no device tells: place, crop, prices"),
            node(
                "equipment_plant_node",
                "plant",
                parameters=[*common, {"scenario": LaunchConfiguration("scenario")}],
                condition=IfCondition(simulate),
            ),
            node("equipment_guard_node", "guard", parameters=[*common, guard]),
            node("agent_node", "agent", parameters=[*common, {"engine": LaunchConfiguration("engine")}]),
        ]
    )
