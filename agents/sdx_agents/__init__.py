"""The graph sense -> ... -> record, the guard, approval, audit and replay. Start at graph.py."""
