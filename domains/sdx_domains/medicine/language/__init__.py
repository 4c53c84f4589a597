"""Words of the domain: reports out of statements, labels out of reports, prompts, answers, follow-up rules. Start at render.py."""
