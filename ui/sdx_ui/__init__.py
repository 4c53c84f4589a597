"""What people touch: the `sdx` command line and the Gradio page. Start at cli.py."""
