"""Models as processes: engines that speak the OpenAI HTTP protocol. Start at engine.py."""
