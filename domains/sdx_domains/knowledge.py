"""What knowledge is shipped with each domain: passage files and glossaries, by the folder they lie in."""

import re
from pathlib import Path

FOLDER = Path(__file__).parent


def domains() -> list[str]:
    """Domains that bring passage files, whether or not they are installed as agents."""
    return sorted(path.parent.name for path in FOLDER.glob("*/knowledge") if passage_files(path.parent.name))


def passage_files(domain: str) -> tuple[Path, ...]:
    """Files of passages by address; the other files of a knowledge folder are wording and thresholds. () for an unknown domain."""
    return tuple(path for path in sorted((FOLDER / domain / "knowledge").glob("*.yaml")) if _has_rules(path))


def glossaries(domain: str) -> tuple[Path, ...]:
    """Terms of the field in both languages."""
    path = FOLDER / domain / "knowledge/glossary.yaml"
    return (path,) if path.is_file() else ()


def _has_rules(path: Path) -> bool:
    return re.search(r"^rules:", path.read_text(encoding="utf-8"), re.MULTILINE) is not None
