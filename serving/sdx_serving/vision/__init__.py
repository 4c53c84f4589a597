"""A model that reads CT volumes: an ONNX encoder sees, a llama.cpp decoder writes, in one process. Start at server.py."""
