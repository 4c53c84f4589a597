"""Makes made_pdf.py and broken_files.py importable, for tests and for the processes they start."""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parent))
