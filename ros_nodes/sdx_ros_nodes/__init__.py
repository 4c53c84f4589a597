"""ROS 2 without or with ROS: transports, messages, nodes. Start at api.py."""
