"""Our own OpenAI server on llama-cpp-python, for machines without a `llama-server`."""
