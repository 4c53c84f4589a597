"""Domains: the situation, options, rules and simulator of ship, farm and medicine. Start at contract.py."""
