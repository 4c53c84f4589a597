"""For colcon (ament_python). pip installs the import package with all of SDx from the root's pyproject.toml."""

from glob import glob

from setuptools import setup

NAME = "sdx_ros_nodes"
NODES = (
    "ship_plant_node", "ship_sensors_node", "ship_guard_node", "ship_agent_node",
    "agent_node", "equipment_guard_node", "equipment_plant_node",
)  # fmt: skip

setup(
    name=NAME,
    version="0.1.0",
    # `sdx_ros_nodes` here is a link to the import package beside: colcon can neither build a package that lies
    # around another one (sdx_msgs), nor link-install one that lies outside.
    packages=[NAME, f"{NAME}.transports", f"{NAME}.equipment"],
    package_data={NAME: ["msg/*.msg", "py.typed"], f"{NAME}.equipment": ["*.yaml"]},
    data_files=[
        ("share/ament_index/resource_index/packages", [f"resource/{NAME}"]),
        (f"share/{NAME}", ["package.xml"]),
        (f"share/{NAME}/launch", glob("launch/*.launch.py")),
        (f"share/{NAME}/config", glob("config/*.yaml")),
    ],
    entry_points={"console_scripts": [f"{node} = {NAME}.{node}:main" for node in NODES]},
)
