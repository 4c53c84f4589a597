"""What must not stand in a prompt: the answers it is measured by. A gain that comes from them is none.

An answer that several questions share ("starboard") is a label: a prompt may name it, but not as the answer.
"""

import re
import unicodedata
from collections import defaultdict
from collections.abc import Sequence

from sdx_domains.contract import Language, language_of
from sdx_finetune.prompt.examples import Example, Prompt

MIN_TELLING = 4
"""Letters and digits; a shorter answer ("12") is in every text by chance, so it only counts where it is called the answer."""
_CALLED = r"(?:\banswer|\bresponse|\boutput|정답|답)\s*(?:is\b|[:=]|은|는|이)\s*[\"'`(\[]*"
_LISTED = r"(?!\w)(?!\s*(?:[,/|]|or\b|and\b|또는|혹은))"
"""Not one of several: "answer: port or starboard" gives nothing away."""


class Guard:
    """Knows every row's answer.

    Args:
        examples: all rows of the run.
        test: those that the prompt is scored on.
        instruction: the base prompt; what it says already is no leak.
    """

    def __init__(self, examples: Sequence[Example], test: Sequence[Example], instruction: str, language: Language | None = None) -> None:
        queries: defaultdict[str, set[str]] = defaultdict(set)
        for example in examples:
            queries[plain(example.response)].add(plain(example.query))
        self._labels = {answer for answer, asked in queries.items() if len(asked) > 1}
        self._base, self._language = plain(instruction), language
        self._all = self._telling(examples)
        self._test = self._telling(test)
        self._test_queries = {plain(example.query) for example in test}
        self._answers = sorted({example.response.strip() for example in examples}, key=len, reverse=True)

    def instruction(self, text: str) -> str:
        """Why a proposed instruction is refused, "" when it is not."""
        if found := _first(self._all, plain(text)):
            return f"it holds the answer {found[:60]!r} of a row"
        for answer in self._answers:
            if plain(text) == plain(answer):
                return f"it is the answer {answer[:60]!r}"
            if len(answer) <= 40 and re.search(f"(?i:{_CALLED}){re.escape(answer)}{_LISTED}", text):
                return f"it calls {answer!r} the answer"
        if self._language == "ko" and language_of(text) != "ko":
            return "it is not in Korean"
        return ""

    def demo(self, query: str, answer: str) -> str:
        """Why a demo is refused, "" when it is not."""
        if plain(query) in self._test_queries:
            return f"it is the test row {query[:60]!r}"
        found = _first(self._test, plain(answer))
        return f"it holds the answer {found[:60]!r} of a test row" if found else ""

    def prompt(self, prompt: Prompt) -> str:
        """Why a whole prompt is refused, "" when it is not; the base instruction is never refused."""
        reasons = [] if plain(prompt.instruction) == self._base else [self.instruction(prompt.instruction)]
        return next(filter(None, [*reasons, *(self.demo(*demo) for demo in prompt.demos)]), "")

    def _telling(self, examples: Sequence[Example]) -> list[str]:
        found = {plain(example.response) for example in examples} - self._labels
        return [answer for answer in found if sum(map(str.isalnum, answer)) >= MIN_TELLING and not _first([answer], self._base)]


def plain(text: str) -> str:
    """Words and figures alone, in lower case, one space apart."""
    return " ".join(re.findall(r"\d+(?:[.:]\d+)*|\w+", unicodedata.normalize("NFC", text).casefold()))


def _first(needles: Sequence[str], text: str) -> str:
    """The first of `needles` that stands in `text` as whole words; behind Hangul a particle may follow."""
    for needle in needles:
        at = f" {text} ".find(f" {needle}")
        while at >= 0:
            after = f" {text} "[at + 1 + len(needle)]
            if after == " " or "가" <= needle[-1] <= "힣":
                return needle
            at = f" {text} ".find(f" {needle}", at + 1)
    return ""
