"""A model with all it needs to serve, as one signed folder. Start at bundle.py; verify.py checks one, releases.py installs it."""
