"""Files in, one chest CT series out, or a refusal that says why. Start at read.py."""
