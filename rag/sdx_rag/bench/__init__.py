"""What the parts of retrieval are measured with; `sdx bench rag` runs them."""
