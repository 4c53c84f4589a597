"""The teacher's server can be imported; without the `prompt` extra nothing here is collected."""

import sys
from importlib.util import find_spec
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
collect_ignore_glob = [] if find_spec("dspy") and find_spec("optuna") else ["test_*.py"]
