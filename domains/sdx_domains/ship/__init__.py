"""Ship navigation: AIS and own-ship data in, a COLREG manoeuvre out. Start at domain.py."""
