"""Headings and list items known by their number: "Rule 15", "4.2 Stopping", "제15조(횡단)", "(a)", "①". Start at numbered()."""

import re
from string import ascii_lowercase

_WORDS = {"part": 1, "annex": 2, "appendix": 2, "chapter": 3, "section": 4, "rule": 5, "article": 5, "clause": 5, "regulation": 5}
_KOREAN = {"편": 1, "장": 3, "절": 4, "관": 4, "조": 5}
_ENGLISH = re.compile(rf"(?P<word>(?i:{'|'.join(_WORDS)})) +(?:\d+(?:[.-]\d+)*|[IVXLC]+|[A-Z])(?: *[.:–—-])?(?: +[A-Z(\"“가-힣].*)?")
_ARTICLE = re.compile(r"제 ?\d+ ?(?P<unit>[편장절관조])(?:의 ?\d+)?(?: ?\([^()]{1,80}\)| [가-힣A-Z][^.]{0,60})?(?= |$)")
_DECIMAL = re.compile(r"(?P<number>\d{1,3}(?:\.\d{1,3}){1,5})\.? +(?P<title>[A-Z가-힣].*)")
_SINGLE = re.compile(r"(?:\d{1,3}|[IVX]{1,5}|[A-Z])\.? +[A-Z가-힣].*")
_DEEPEST = 5  # words of a law go down to here; decimals come below
_LONG = 100  # characters; a heading is shorter
_ITEMS = (
    (1, re.compile(r"(?:[-*•·‣◦▪○●□■–—]|\d{1,3}[.)]|\(\d{1,3}\)|[①-⑳])(?= )")),
    (1, re.compile(r"\(?[a-hj-uwyz]\)(?= )|[가나다라마바사아자차카타파하][.)](?= )")),
    (2, re.compile(r"\((?:i{1,3}|i[vx]|vi{0,3}|xi{0,3})\)(?= )")),
)
BULLETS = "-*•·‣◦▪○●□■–—"


def numbered(line: str) -> int:
    """Level of a heading that its own number makes one, comparable inside one document; 0 of any other line."""
    if len(line) > _LONG or line.endswith((".", ",", ";", "다", "며", "고")) and not line.endswith("참고"):
        return 0
    if (match := _ENGLISH.fullmatch(line)) and match["word"][0].isupper():
        return _WORDS[match["word"].lower()]
    if (match := _ARTICLE.match(line)) and match.end() == len(line):
        return _KOREAN[match["unit"]]
    if match := _DECIMAL.fullmatch(line):
        return _DEEPEST + match["number"].count(".") + 1
    return 0


def perhaps_numbered(line: str) -> int:
    """As numbered(), and lines such as "4 Stopping" that are headings only where they stand alone or look like one."""
    single = len(line) <= _LONG and not line.endswith((".", ",", ";", ":")) and _SINGLE.fullmatch(line)
    return numbered(line) or (_DEEPEST + 1 if single else 0)


def article(line: str) -> tuple[str, str] | None:
    """("제15조(횡단)", "① 2척의 ...") of a line of a Korean law whose text follows on the heading's own line."""
    match = re.match(r"(제 ?\d+ ?조(?:의 ?\d+)? ?\([^()]{1,80}\)) +(\S.*)", line, re.DOTALL)
    return (match[1], match[2]) if match else None


def item(line: str) -> int:
    """Depth of a list item that begins with its mark, from 1; 0 of any other line."""
    return next((depth for depth, pattern in _ITEMS if pattern.match(line)), 0)


def spelled(number: int, form: str) -> str:
    """A number as lists write it: "a" of lower-letter, "iv" of lower-roman, "가" of ganada, else digits.

    Forms are those of WordprocessingML (ECMA-376 part 1, 17.18.59) and the `type` of HTML lists.
    """
    if number < 1:
        return str(number)
    if form in ("lowerLetter", "a", "upperLetter", "A"):
        letters = ascii_lowercase[(number - 1) % 26] * min(1 + (number - 1) // 26, 10)
        return letters.upper() if form in ("upperLetter", "A") else letters
    if form in ("lowerRoman", "i", "upperRoman", "I") and number < 4000:
        roman = _roman(number)
        return roman if form in ("lowerRoman", "i") else roman.upper()
    if form == "ganada":
        return "가나다라마바사아자차카타파하"[(number - 1) % 14]
    if form == "decimalEnclosedCircle" and number <= 20:
        return chr(0x245F + number)
    return str(number)


def _roman(number: int) -> str:
    signs = (
        (1000, "m"),
        (900, "cm"),
        (500, "d"),
        (400, "cd"),
        (100, "c"),
        (90, "xc"),
        (50, "l"),
        (40, "xl"),
        (10, "x"),
        (9, "ix"),
        (5, "v"),
    )
    written = ""
    for value, sign in (*signs, (4, "iv"), (1, "i")):
        written += sign * (number // value)
        number %= value
    return written
