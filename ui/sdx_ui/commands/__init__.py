"""One file per group of commands. Thin: read the arguments, call, print, exit code."""
