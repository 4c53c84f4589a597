"""What surrounds and equips the simulated house: weather, prices, sensors, devices, scenarios. Start at house.py."""
