"""One address for every model: routes, deadlines, fallbacks, keys. Start at app.py; server.py runs it."""
