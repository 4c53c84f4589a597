"""Chest CT: reporting, nodules, findings, follow-up and safety, as knowledge. Start at knowledge/reporting.yaml."""
