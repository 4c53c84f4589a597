"""A sea to sail on: own ship, traffic, sensors, truth. Start reading at world.ShipWorld."""
