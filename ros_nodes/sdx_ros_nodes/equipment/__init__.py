"""Equipment over Modbus after KS X 3267/3288: a node, a master, a conformance suite. Start at ksx_master.py; the registers are data."""
