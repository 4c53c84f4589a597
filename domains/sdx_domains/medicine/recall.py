"""Rules and practice by address, from knowledge/: passages() for a picture; looks_for(): what to seek in the user's documents."""

from functools import cache

import yaml

from sdx_domains.contract import Language, Passage
from sdx_domains.knowledge import passage_files
from sdx_domains.medicine import NAME
from sdx_domains.medicine.labels import label
from sdx_domains.medicine.picture import MedicinePicture

ALWAYS = ("SF-1", "SF-2")
"""A draft is not a report; every finding needs evidence."""
SOUGHT = 3
"""So many of the likeliest findings shape what is looked for: more would blur it."""


@cache
def book(language: Language) -> dict[str, Passage]:
    """Every passage by its address."""
    found: dict[str, Passage] = {}
    for path in passage_files(NAME):
        read = yaml.safe_load(path.read_text(encoding="utf-8"))
        for address, entry in read["rules"].items():
            words = entry[language]
            found[address] = Passage(id=address, title=words["title"], text=words["text"], source=entry.get("source", read["source"]))
    return found


def passages(picture: MedicinePicture, language: Language = "en") -> tuple[Passage, ...]:
    """Of every label among the candidate findings, each once, in the order of the knowledge files. KeyError for an unknown address."""
    wanted = {*ALWAYS, *(address for key in _labels(picture) for address in label(key).rules)}
    known = book(language)
    if unknown := sorted(wanted - known.keys()):
        raise KeyError(f"no passage {', '.join(unknown)} in knowledge/")
    return tuple(passage for address, passage in known.items() if address in wanted)


def looks_for(picture: MedicinePicture, language: Language) -> str:
    """Names of the likeliest findings; "" where there are none."""
    likely = sorted(picture.findings, key=lambda finding: -finding.probability)
    keys = list(dict.fromkeys(finding.label for finding in likely))[:SOUGHT]
    return ", ".join(label(key).ko if language == "ko" else label(key).name for key in keys)


def _labels(picture: MedicinePicture) -> list[str]:
    return list(dict.fromkeys(finding.label for finding in picture.findings))
