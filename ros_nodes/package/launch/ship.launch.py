"""Plant, guard and agent on ROS 2:  ros2 launch sdx_ros_nodes ship.launch.py scenario:=imazu-05 engine:=http://127.0.0.1:8080/v1"""

from ament_index_python.packages import get_package_share_directory
from launch import LaunchDescription
from launch.actions import DeclareLaunchArgument
from launch.conditions import IfCondition
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import Node

SHARE = get_package_share_directory("sdx_ros_nodes")


def generate_launch_description() -> LaunchDescription:
    """A guard that died comes back after a second; the ship is in its safe state until then."""
    namespace = LaunchConfiguration("namespace")
    common = [f"{SHARE}/config/ship.yaml"]

    def node(executable: str, **more: object) -> Node:
        return Node(
            package="sdx_ros_nodes",
            executable=executable,
            name=executable.removesuffix("_node"),
            namespace=namespace,
            output="screen",
            respawn=True,
            respawn_delay=1.0,
            arguments=["--transport", "rclpy"],
            **more,
        )

    return LaunchDescription(
        [
            DeclareLaunchArgument("namespace", default_value="/ship"),
            DeclareLaunchArgument("scenario", default_value="imazu-05"),
            DeclareLaunchArgument("engine", default_value="none", description="OpenAI-compatible address of the model; none: planner"),
            DeclareLaunchArgument("simulate", default_value="true", description="false: sensors come from a real ship"),
            node(
                "ship_plant_node",
                parameters=[*common, {"scenario": LaunchConfiguration("scenario")}],
                condition=IfCondition(LaunchConfiguration("simulate")),
            ),
            node("ship_guard_node", parameters=[*common, {"use_sim_time": LaunchConfiguration("simulate")}]),
            node("ship_agent_node", parameters=[*common, {"engine": LaunchConfiguration("engine")}]),
        ]
    )
