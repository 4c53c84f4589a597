"""The bridge page: what the officer sees and touches. Start at app.py; store.py is what is shown, link.py the wire."""
