"""Ingest's warnings in the report's language; the sentences are cautions.yaml."""

import re
from functools import cache
from importlib.resources import files

import yaml

from sdx_domains.contract import Language


def in_language(sentence: str, language: Language) -> str:
    """An English sentence of ingest; one that the table lacks comes back as it is."""
    if language == "en":
        return sentence
    for pattern, there in _sentences(language):
        if found := pattern.fullmatch(sentence):
            return there.format(**found.groupdict())
    return sentence


@cache
def _sentences(language: Language) -> tuple[tuple[re.Pattern[str], str], ...]:
    table = yaml.safe_load((files(__package__ or "") / "cautions.yaml").read_text(encoding="utf-8"))
    return tuple((_pattern(each["en"]), each[language]) for each in table)


def _pattern(template: str) -> re.Pattern[str]:
    parts = re.split(r"\{(\w+)\}", template)  # text and names by turns
    return re.compile("".join(f"(?P<{part}>[^:]+?)" if odd % 2 else re.escape(part) for odd, part in enumerate(parts)))
