"""Greenhouse and field: the agent plans set-points, the controller holds them. Start at domain.py; figures of practice are in knowledge/."""

NAME = "farm"
"""Of the domain, in pictures, orders and the entry point; a copy of this folder under another name changes this line."""
