"""A library of the ship's shipped rules without an embedding model unless one is named, for tests: opened()."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sdx_rag.embed.settings import EmbedSettings
from sdx_rag.library import Library
from sdx_rag.settings import RagSettings

KNOWLEDGE = Path(__file__).parents[2] / "domains/sdx_domains"


def passage_files(domain: str) -> list[Path]:
    """Knowledge files that hold passages; the others have no rules with texts in both languages."""
    return [path for path in sorted((KNOWLEDGE / domain / "knowledge").glob("*.yaml")) if "\nrules:\n" in path.read_text(encoding="utf-8")]


@contextmanager
def opened(home: Path, domain: str = "ship", model: str = "none") -> Iterator[Library]:
    settings = RagSettings(home=home, embed=EmbedSettings(model=model))
    with Library.open(domain, settings, write=True) as library:
        library.knowledge(passage_files(domain), [KNOWLEDGE / domain / "knowledge/glossary.yaml"])
        yield library
