"""Retrieval of documents, with citations (not built yet: rules are looked up by number in the domains)."""
