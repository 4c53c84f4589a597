"""A model that reads volumes, from phantoms to files that ship. Start at pipeline.py."""
