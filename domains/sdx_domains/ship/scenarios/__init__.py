"""Situations to sail in, alone or as suites. Start reading at suites.suite()."""

from sdx_domains.ship.scenarios.scenario import OwnStart, Scenario, Sensing, TargetStart, ship_of
from sdx_domains.ship.scenarios.suites import SUITES, scenario, suite

__all__ = ["SUITES", "OwnStart", "Scenario", "Sensing", "TargetStart", "scenario", "ship_of", "suite"]
