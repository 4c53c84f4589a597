"""A chat model's answer from passages, and what of it holds: generated(). The prompts are in prompts/answer.yaml."""

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import yaml

from sdx_rag.passages import Found, Language
from sdx_rag.planted import FENCE, has_link, plain, planted, shipped
from sdx_rag.support import about, unsupported
from sdx_rag.words import language_of, sentences
from sdx_serving.client import ChatClient, ChatError

NOTHING = "NOT IN THE DOCUMENTS"
MAX_TOKENS = 400
_CITED = re.compile(r"\s*\[(\d{1,3}(?:\s*[,;]\s*\d{1,3})*)\]")
_AFTER_STOP = re.compile(r"([.!?。])((?:\s*\[[\d,; ]+\])+)")
_LEAD = re.compile(r"^\s*(?:[-*•#>]+|\d+[.)])\s+")


@dataclass(frozen=True, slots=True)
class Said:
    """One sentence of the model."""

    text: str
    cited: tuple[int, ...]
    """Indexes into the passages, from 0; of a sentence that holds only those that bear it out, each by itself."""
    fault: str
    """Why it does not hold; "" where it does."""
    hostile: bool = False
    """It speaks to the machine, or of something else than its passages: never shown, not even marked."""


@dataclass(frozen=True, slots=True)
class Generated:
    said: tuple[Said, ...]
    fault: str = ""
    """Why there is no answer of the model at all."""
    nothing: bool = False
    """The model says that the passages do not hold the answer."""


def generated(
    chat: ChatClient, question: str, passages: Sequence[Found], language: Language, deadline_s: float, translated: Callable[[str], str]
) -> Generated:
    """The model's sentences, each held to the passages it cites. Never raises for what a model or its server does."""
    try:
        reply = chat.complete(messages(question, passages, language), max_tokens=MAX_TOKENS, deadline_s=deadline_s).text
    except ChatError as error:
        return Generated((), fault=f"the model gave no answer ({error})")
    if NOTHING.casefold() in reply.casefold():
        return Generated((), nothing=True)
    said = tuple(_held(text, cited, passages, language, translated) for text, cited in split(reply))
    return Generated(said, fault="" if any(not one.fault for one in said) else "no sentence of the model is borne out by the passages")


def messages(question: str, passages: Sequence[Found], language: Language) -> list[dict[str, str]]:
    prompt = _prompts()[language]
    lines = "\n".join(_line(number, passage) for number, passage in enumerate(passages, start=1))
    asked = prompt["question"].replace("{question}", plain(question)).replace("{passages}", lines)
    return [{"role": "system", "content": prompt["rules"]}, {"role": "user", "content": asked}]


def split(reply: str) -> list[tuple[str, tuple[int, ...]]]:
    """Sentences with the numbers in brackets at or in them, markup taken away. A sentence with a link or an image is not there at all."""
    kept: list[tuple[str, tuple[int, ...]]] = []
    for line in _AFTER_STOP.sub(r"\2\1", FENCE.sub("\n", reply)).splitlines():
        for sentence in sentences(_LEAD.sub("", line)):
            text = plain(_CITED.sub("", sentence)).replace("**", "").strip(" *_#")
            if has_link(_CITED.sub("", sentence)) or not re.search(r"\w", text):
                continue
            numbers = [int(number) for match in _CITED.finditer(sentence) for number in re.findall(r"\d+", match[1])]
            kept.append((text, tuple(dict.fromkeys(numbers))))
    return kept


def _held(text: str, numbers: Sequence[int], passages: Sequence[Found], language: Language, translated: Callable[[str], str]) -> Said:
    cited = tuple(number - 1 for number in numbers if 1 <= number <= len(passages))
    if not cited:
        return Said(text, (), "cites no passage", hostile=True)
    if sign := planted(text):
        return Said(text, cited, f"speaks to the machine ({sign})", hostile=True)
    if language_of(text) != language:
        return Said(text, cited, "is in another language than the question", hostile=True)
    others = [translated(passages[index].text) for index in cited]
    faults = [unsupported(text, [passages[index]], other) for index, other in zip(cited, others, strict=True)]
    holding = tuple(index for index, fault in zip(cited, faults, strict=True) if not fault)
    strange = not any(about(text, passages[index], other) for index, other in zip(cited, others, strict=True))
    return Said(text, holding or cited, "" if holding else faults[0], hostile=strange)


def _line(number: int, passage: Found) -> str:
    fields = {"n": number, "of": "rules" if shipped(passage) else "user", "document": plain(passage.title), "at": passage.address}
    headings = {"headings": plain(" > ".join(passage.headings))} if passage.headings else {}
    return json.dumps({**fields, **headings, "text": plain(passage.text)}, ensure_ascii=False)


@cache
def _prompts() -> dict[Language, dict[str, str]]:
    return yaml.safe_load((Path(__file__).parent / "prompts/answer.yaml").read_text(encoding="utf-8"))
