"""What the rules and documents say to a question of the bridge page: looked up in a thread of its own. Start at Rules."""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sdx_rag.answer import Answered
    from sdx_rag.library import Library

WHOSE = {
    "en": {"user": "your document, not a rule", "conflict": "differs from the rules"},
    "ko": {"user": "규칙이 아닌 사용자 문서", "conflict": "규칙과 다름"},
}


class Rules:
    """A library, opened at the first question, and its quoted answers."""

    def __init__(self, domain: str, say: Callable[[str], None] = lambda line: None) -> None:
        self._domain, self._say = domain, say
        self._thread = ThreadPoolExecutor(1, f"library-{domain}")
        self._stack = ExitStack()
        self._library: Library | None = None

    def __call__(self, question: str) -> "Future[str]":
        """Sentences with citations, a line each; "" where the answer is not in the documents."""
        return self._thread.submit(self._answer, question)

    def close(self) -> None:
        self._thread.submit(self._stack.close)
        self._thread.shutdown()

    def _answer(self, question: str) -> str:
        from sdx_agents.library import opened
        from sdx_rag.answer import ask

        if self._library is None:
            self._library = self._stack.enter_context(opened(self._domain, self._say))
        return in_lines(ask(self._library, question))


def in_lines(answered: "Answered") -> str:
    """Rules by their address alone ("• R15(a): ..."), documents by their whole citation, marked as what they are."""
    words, lines = WHOSE[answered.language], list[str]()
    for one in answered.sentences if answered.in_documents else ():
        found = [answered.found[number - 1] for number in one.citations]
        cited = [passage.address if one.of == "rules" and passage.address else passage.citation for passage in found]
        marks = [*([words["user"]] if one.of == "user" else []), *([words["conflict"]] if one.conflict else [])]
        said = f" ({', '.join(marks)})" if marks else ""
        lines.append(f"• {', '.join(cited)}{said}: {one.text}")
    return "\n".join(lines)
