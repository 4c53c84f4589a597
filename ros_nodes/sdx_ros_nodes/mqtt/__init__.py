"""Equipment over MQTT: TANGO2's controller (tango.py) and Sparkplug B (sparkplug_host.py, sparkplug_edge.py)."""
