"""Keeping people out of what is stored, logged or shown: de-identification, free text, the vault, logs. Start at deidentify.py."""
