"""Irrigation of a field, day by day, on AquaCrop. Start at branch.py."""
