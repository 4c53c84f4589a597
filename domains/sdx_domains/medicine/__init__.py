"""Chest CT: findings are detected and measured, a draft report is grounded in them, a radiologist signs. Start at domain.py."""

NAME = "medicine"
"""Of the domain, in pictures, orders and the entry point."""
