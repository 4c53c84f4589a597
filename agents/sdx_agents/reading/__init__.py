"""Reading a study to its signature: cases, their states, who did what. Start at cases.py; case.py is one case."""
