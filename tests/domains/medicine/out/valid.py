"""What an independent validator says of a file."""

import shutil
import subprocess
from pathlib import Path

import pytest


def errors(path: Path) -> list[str]:
    """Lines of dicom3tools' dciodvfy that name an error; the test is skipped without the program."""
    program = shutil.which("dciodvfy")
    if program is None:
        pytest.skip("dciodvfy is not installed (Debian's dicom3tools)")
    done = subprocess.run([program, str(path)], capture_output=True, text=True, timeout=60, check=False)
    return [line for line in (done.stdout + done.stderr).splitlines() if line.startswith("Error")]
