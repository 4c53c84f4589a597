"""The fast loop: control law, safety filter, rules, alarms. Start at controller.py."""
