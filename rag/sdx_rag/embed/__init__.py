"""Texts to vectors, and texts ranked by a query. Start at choose.py."""
