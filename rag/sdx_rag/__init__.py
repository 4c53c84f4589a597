"""Documents in, passages with citations out. Start at library.py."""
