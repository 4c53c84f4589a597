"""What this machine is, and what others are: one file each in data/. Start at probe.py."""
