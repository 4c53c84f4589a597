"""Makes tests/agents/vat.py importable, for tests and for the processes they start."""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parent))
