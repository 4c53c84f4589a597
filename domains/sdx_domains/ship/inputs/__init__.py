"""Readings from the outside: NMEA 0183 and AIS (nmea.py), TANGO CSV files (tango_csv.py); orders to an autopilot (autopilot.py)."""
