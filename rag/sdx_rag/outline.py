"""Where in a document a line stands: its headings, and the provision ("R15(a)(ii)", "4.2.1", "제15조제1항제2호") that it belongs to."""

import re
from dataclasses import dataclass, field, replace

from sdx_rag.document import Block
from sdx_rag.words import lists

_BELOW_HEADINGS = 100
"""Level of a numbered line that the document does not mark as a heading: "Rule 15", "제15조(횡단하는 상태)", "4.2.1"."""
_SHORT = 80
"""Characters of such a line that is all heading; of a longer one only the number is."""
_DEPTH = 3
"""Labels that one line may open."""
_SHORTENED = {"rule": "R", "r": "R", "article": "Art. ", "regulation": "Reg. "}
_LABELS = r"(?:\s?\((?:[a-z]|[ivx]+|\d{1,2})\))*"
_ARTICLE = re.compile(
    rf"(?P<kind>rule|regulation|article|r)\s?(?P<number>\d{{1,3}}(?:-\d+)?)(?P<labels>{_LABELS})(?![\w.]*\d)", re.IGNORECASE
)
_KOREAN = re.compile(r"제\s?(?P<number>\d+)\s?조(?:의\s?(?P<branch>\d+))?(?P<title>\s?\([^)\n]{1,60}\))?")
_DECIMAL = re.compile(r"(?P<number>\d{1,3}(?:\.\d{1,3})*)\.?(?=\s|$)")
_LABEL = re.compile(
    r"(?:\((?P<paren>[a-z]|[ivx]{2,5}|\d{1,2}|[가-하])\)|(?P<half>[a-z]|[ivx]{2,5}|\d{1,2}|[가-하])\)"
    r"|(?P<circled>[①-⑳])|(?P<dotted>[a-z]|\d{1,2}|[가-하])\.)(?=\s|(?<=[①-⑳])|(?<=\))[^\s\d])"
)
_ROMAN = (
    "i",
    "ii",
    "iii",
    "iv",
    "v",
    "vi",
    "vii",
    "viii",
    "ix",
    "x",
    "xi",
    "xii",
    "xiii",
    "xiv",
    "xv",
    "xvi",
    "xvii",
    "xviii",
    "xix",
    "xx",
)


@dataclass(frozen=True, slots=True)
class Heading:
    level: int
    text: str
    address: str
    """Of the provision that it opens, else of the one around it; "" where nothing is numbered."""
    provision: bool = False
    """A rule or an article, whose paragraphs are cited one by one."""


@dataclass(slots=True)
class Outline:
    """Told of each line in turn, knows where it stands."""

    headings: list[Heading] = field(default_factory=list)
    labels: list[tuple[str, str]] = field(default_factory=list)
    """Style and label of the paragraph, sub-paragraph, ... that is open."""

    def open(self, heading: Heading) -> None:
        """A line that only its number makes a heading is not under another rule, nor "4.3" under "4.2", whatever their levels."""
        ends = [known.level >= heading.level or (heading.level >= _BELOW_HEADINGS and _beside(known, heading)) for known in self.headings]
        self.headings = self.headings[: (*ends, True).index(True)]
        if not heading.address and self.headings:
            heading = replace(heading, address=self.headings[-1].address, provision=self.headings[-1].provision)
        self.headings.append(heading)
        self.labels = []

    def titled(self, text: str) -> bool:
        """Whether the text is the title of a heading that is only a number; then it is part of that heading from here."""
        last = self.headings[-1]
        number = any(pattern.fullmatch(last.text) for pattern in (_KOREAN, _ARTICLE, _DECIMAL))
        if not number or len(text) > _SHORT or re.search(r"[.!?:;,]$", text) or not re.match(r"[A-Z가-힣]", text):
            return False
        self.headings[-1] = replace(last, text=f"{last.text} {text}")
        return True

    @property
    def path(self) -> tuple[str, ...]:
        return tuple(heading.text for heading in self.headings)

    @property
    def provision(self) -> bool:
        return bool(self.headings) and self.headings[-1].provision

    @property
    def addresses(self) -> tuple[str, ...]:
        """Of the provision that is open and those around it, outermost first; empty where nothing is numbered."""
        article = self.headings[-1].address if self.headings else ""
        found = [article] if article else []
        for style, label in self.labels:
            found.append(found[-1] + _cited(style, label, korean=article.startswith("제")))
        return tuple(found)

    def label(self, text: str) -> bool:
        """Whether the text begins with a label of the provision that is open; then that paragraph is open from here; "(a) (i)" are two."""
        opened = False
        for _ in range(_DEPTH if self.headings and self.headings[-1].address else 0):
            found = _LABEL.match(text)
            if not found:
                break
            self._push(found.lastgroup or "", found[found.lastgroup or 0])
            text, opened = text[found.end() :].lstrip(), True
        return opened

    def _push(self, style: str, label: str) -> None:
        open = dict(self.labels)
        style += _script(label, open.get(f"{style}letter", ""), f"{style}roman" in open)
        known = [style for style, _ in self.labels]
        self.labels = [*self.labels[: known.index(style) if style in known else len(known)], (style, label)]


def _beside(known: Heading, new: Heading) -> bool:
    if new.provision or not known.address:
        return known.provision
    return not known.provision and not new.address.startswith(f"{known.address}.")


def heading_of(block: Block) -> Heading:
    """A block that the document marks as a heading."""
    level = max(block.level, 1)
    for pattern in (_KOREAN, _ARTICLE, _DECIMAL):
        if found := pattern.match(block.text):
            return Heading(level, block.text, _address(found), provision=pattern is not _DECIMAL)
    return Heading(level, block.text, "")


def heading_in(text: str) -> tuple[Heading, str] | None:
    """A numbered line that is not marked as a heading, and the text after it; None where the number is no heading: "Rule 15 applies ...", "4.2 m".

    A short line without a stop is a heading as a whole.
    """
    for pattern, opens in ((_KOREAN, _opens_korean), (_ARTICLE, _opens_article), (_DECIMAL, _opens_decimal)):
        found = pattern.match(text)
        if found and opens(found, text[found.end() :]):
            rest = text[found.end() :]
            level = _BELOW_HEADINGS + (found["number"].count(".") if pattern is _DECIMAL else 0)
            whole = len(text) <= _SHORT and not re.search(r"[.!?:;]$", rest) and not _LABEL.match(rest.lstrip())
            head = text if whole else found[0]
            return Heading(level, head, _address(found), provision=pattern is not _DECIMAL), "" if whole else rest.lstrip(" .:–—-")
    return None


def starts(line: str) -> bool:
    """Whether a line inside a paragraph begins something of its own."""
    return bool(_LABEL.match(line) or heading_in(line))


def _opens_korean(found: re.Match[str], rest: str) -> bool:
    return bool(found["title"]) or not rest.strip() or (rest[:1].isspace() and len(rest) <= _SHORT // 2 and not rest.endswith("."))


def _opens_article(found: re.Match[str], rest: str) -> bool:
    titled = bool(re.match(r"\s+[A-Z]", rest)) and len(rest) <= _SHORT and not re.search(r"[.!?;,]$", rest)
    return not rest.strip() or bool(re.match(r"\s*[.:–—-]\s", rest)) or titled


def _opens_decimal(found: re.Match[str], rest: str) -> bool:
    """Two numbers at least, and words that are no unit: not "4.2 MPa", not "0.5 마일"."""
    word = re.match(r"\s+([A-Z가-힣][^\s.,;]*)", rest)
    if "." not in found["number"] or not word:
        return False
    units = {way for ways in lists()["units"].values() for way in ways}
    return not any(word[1].lower() == unit or (unit >= "가" and word[1].startswith(unit)) for unit in units) and len(word[1]) > 1


def _address(found: re.Match[str]) -> str:
    match found.re:
        case _ if found.re is _KOREAN:
            return f"제{found['number']}조" + (f"의{found['branch']}" if found["branch"] else "")
        case _ if found.re is _ARTICLE:
            return _SHORTENED[found["kind"].lower()] + found["number"] + found["labels"].replace(" ", "").lower()
        case _:
            return found["number"]


def _cited(style: str, label: str, korean: bool) -> str:
    """Korean statutes are cited by 항 (①), 호 (1.) and 목 (가.), all others as they label themselves."""
    number = str(ord(label) - ord("①") + 1) if style.startswith("circled") else label
    if not korean or not (number.isdecimal() or number >= "가"):
        return f"({number})"
    return f"제{number}항" if style.startswith("circled") else f"{number}목" if number >= "가" else f"제{number}호"


def _script(label: str, letter: str, roman: bool) -> str:
    """What a label counts in. "(i)" after "(h)" is a letter unless roman numbers are open; else it is one."""
    if label.isdecimal() or label >= "①":
        return "number" if label.isdecimal() or label <= "⑳" else "hangul"
    follows = bool(letter) and ord(label[0]) == ord(letter[0]) + 1 and len(label) == 1
    return "roman" if label in _ROMAN and (roman or not follows) else "letter"
