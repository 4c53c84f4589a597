"""Our own OpenAI server on ONNX Runtime: vectors of texts and images, and answers of a small decoder. Start at server.py."""
