"""The engines, one file each: what it can serve, the command that does, is it healthy. Start at process.py."""
