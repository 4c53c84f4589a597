"""Puts the folder on the path, for chests.py."""

import sys
from pathlib import Path

import pytest

pytest.importorskip("pydicom")
sys.path.append(str(Path(__file__).parent))
