"""What a draft may say: verdict.py judges a proposal, checks.py holds a report to its findings, trial.py tries both. Start at verdict.py."""
