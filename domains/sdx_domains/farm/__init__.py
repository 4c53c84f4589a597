"""Greenhouse and field: practice, limits and words, as knowledge. Start at knowledge/climate.yaml."""
