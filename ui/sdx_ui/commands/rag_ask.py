"""sdx rag search, ask, eval, serve: what the indexed documents say. Indexing them: rag.py."""

import json
import os
import sys
from contextlib import ExitStack
from enum import StrEnum
from textwrap import wrap
from typing import TYPE_CHECKING, Annotated

import typer

from sdx_ui.commands.choices import Tongue

if TYPE_CHECKING:
    from sdx_rag.answer import Answered
    from sdx_rag.passages import Found

WIDTH = 100
Domain = Annotated[str, typer.Option(help="whose library: ship, farm, medicine, or a name of your own")]
AsJson = Annotated[bool, typer.Option("--json", help="as JSON on standard output")]


class Side(StrEnum):
    """Which index is asked."""

    hybrid = "hybrid"
    dense = "dense"
    lexical = "lexical"


def search(
    words: Annotated[str, typer.Argument(help="words or a question, English or Korean")],
    domain: Domain = "ship",
    count: Annotated[int, typer.Option(min=1, max=50, help="passages")] = 5,
    language: Annotated[Tongue | None, typer.Option(help="only passages in this language")] = None,
    document: Annotated[
        list[str] | None, typer.Option(help="only in this document, as `sdx rag list` names it; may be given again")
    ] = None,
    side: Annotated[Side, typer.Option(help="both indexes, vectors alone, or words alone")] = Side.hybrid,
    scores: Annotated[bool, typer.Option("--scores", help="also how well each side found it")] = False,
    as_json: AsJson = False,
) -> None:
    """The passages that fit, best first, each with its citation. Exit code 1 when there is none.

    sdx rag search "safe speed in fog" --scores
    """
    from sdx_agents.library import opened

    with opened(domain, say) as library:
        found = library.search(words, count, language=language.value if language else None, documents=document, side=side.value)
    if as_json:
        print(json.dumps([{"citation": one.citation} | one.model_dump(mode="json") for one in found], ensure_ascii=False, indent=1))
    for one in [] if as_json else found:
        print(_passage(one, scores))
    if not found and not as_json:
        print("nothing fits; `sdx rag list --all` shows what is indexed")
    raise typer.Exit(0 if found else 1)


def ask(
    question: Annotated[str, typer.Argument(help="in English or Korean")],
    domain: Domain = "ship",
    model: Annotated[
        str | None, typer.Option(help="writes the answer: OpenAI-compatible URL, GGUF file; without it the answer is quoted")
    ] = None,
    api_key_env: Annotated[str, typer.Option(help="environment variable that holds the key of a URL")] = "SDX_MODEL_KEY",
    mark: Annotated[bool, typer.Option("--mark", help="keep a model's unsupported sentences, marked, instead of removing them")] = False,
    as_json: AsJson = False,
) -> None:
    """Answer from the documents alone: whole sentences with their citations, or that it is not there. Exit code 1 when it is not.

    sdx rag ask "Who gives way when two power-driven vessels cross?"

    sdx rag ask "제한 시계에서 안전한 속력은?" --model http://127.0.0.1:8080/v1
    """
    from sdx_agents.library import opened
    from sdx_rag.answer import ask as ask_library
    from sdx_serving.connect import open_chat

    with ExitStack() as stack:
        library = stack.enter_context(opened(domain, say))
        chat = stack.enter_context(open_chat(model, n_ctx=8192, api_key=os.environ.get(api_key_env))) if model else None
        answered = ask_library(library, question, chat, mark=mark)
    print(answered.model_dump_json(indent=1) if as_json else in_words(answered))
    raise typer.Exit(0 if answered.in_documents else 1)


def in_words(answered: "Answered") -> str:
    """The answer for a terminal: sentences with citations, then what was left out; or the nearest passages' titles."""
    lines = [line for told in answered.text.splitlines() for line in wrap(told, WIDTH, subsequent_indent="  ")]
    if not answered.in_documents and answered.found:
        lines.append("nearest: " + "; ".join(dict.fromkeys(one.citation for one in answered.found)))
    if not answered.in_documents and answered.missing:
        lines.append("no document has: " + ", ".join(answered.missing))
    return "\n".join([*lines, *(f"note: {note}" for note in answered.notes)])


def _passage(found: "Found", scores: bool) -> str:
    places = " > ".join(found.headings)
    head = f"{found.citation}  ({found.document}{': ' + places if places else ''})"
    figures = [f"fused {found.score:.4f}"]
    figures += [f"cosine {found.similarity:.3f}"] if found.similarity is not None else []
    figures += [f"BM25 {found.lexical:.2f}"] if found.lexical is not None else []
    text = [line for part in found.text.splitlines() for line in wrap(part, WIDTH, initial_indent="  ", subsequent_indent="  ")]
    return "\n".join([head, *([f"  {', '.join(figures)}"] if scores else []), *text, ""])


def say(line: str) -> None:
    """Progress, never on standard output."""
    print(line, file=sys.stderr, flush=True)
