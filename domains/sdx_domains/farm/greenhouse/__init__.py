"""The greenhouse as equations: climate, crop, substrate. Start at vectors.py, then step.py."""
