"""Which model, in which form, on which runtime, for a device and a deadline. Start at choose.py."""
