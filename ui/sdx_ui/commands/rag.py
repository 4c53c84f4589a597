"""sdx rag: the user's documents and the shipped rules, indexed. Searching and asking them: rag_ask.py."""

import json
import time
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sdx_ui.commands import rag_ask, rag_eval, rag_serve
from sdx_ui.commands.rag_ask import AsJson, Domain, say

if TYPE_CHECKING:
    from sdx_rag.ingest import Report

POLL_S = 2.0
app = typer.Typer(no_args_is_help=True, help="Your documents and the shipped rules: index, search, ask, with citations.")
Wait = Annotated[float, typer.Option(min=0.0, help="seconds to wait while another process indexes")]
Strict = Annotated[bool, typer.Option("--strict", help="exit code 1 when any file could not be read; without it, when none could")]


@app.command()
def add(
    paths: Annotated[list[Path], typer.Argument(help="files or folders; `sdx rag sync` keeps the library in step with them")],
    domain: Domain = "ship",
    wait: Wait = 30.0,
    strict: Strict = False,
    as_json: AsJson = False,
) -> None:
    """Index documents: PDF, DOCX, HTML, Markdown, TXT, CSV, passage files. What cannot be read is listed, the rest goes on.

    sdx rag add manuals/ standing-orders.pdf
    """
    from sdx_agents.library import opened

    if missing := [str(path) for path in paths if not path.expanduser().exists() and not path.is_symlink()]:
        raise FileNotFoundError(f"{', '.join(missing)}: there is no such file or folder; nothing was indexed")
    with opened(domain, say, write=True) as library:
        reports = [library.add(path, say, wait) for path in paths]
        notes = library.notes()
    _end(sum(reports[1:], reports[0]), notes, strict, as_json)


@app.command("list")
def list_documents(
    domain: Domain = "ship",
    everything: Annotated[bool, typer.Option("--all", help="also what is shipped")] = False,
    as_json: AsJson = False,
) -> None:
    """The documents of a library, where they come from, and the files that could not be read.

    sdx rag list --all
    """
    from sdx_agents.library import opened
    from sdx_rag.planted import BUILTIN

    with opened(domain, say) as library:
        documents = [one for one in library.documents() if everything or not one.name.startswith(BUILTIN)]
        failures, sources, notes = library.failures(), library.sources(), library.notes()
    if as_json:
        told = {
            "documents": [asdict(one) for one in documents],
            "failures": [asdict(one) for one in failures],
            "sources": [asdict(one) for one in sources],
        }
        print(json.dumps(told | {"notes": notes}, ensure_ascii=False, indent=1))
        return
    for one in documents:
        pages = f", {one.pages} pages" if one.pages else ""
        print(f"{one.name}  {one.title!r}, {one.chunks} passages{pages}")
        for note in one.notes:
            print(f"    {note}")
    for failure in failures:
        print(f"NOT READ  {failure.name}: {failure.reason}")
    for note in notes:
        say(note)
    if not documents and not failures:
        print("no documents of your own; `sdx rag add FILE` adds one, `sdx rag list --all` shows what is shipped")


@app.command("rm")
def remove(
    names: Annotated[list[str], typer.Argument(help="documents as `sdx rag list` names them, or the path of a folder that was added")],
    domain: Domain = "ship",
    wait: Wait = 30.0,
    as_json: AsJson = False,
) -> None:
    """Take documents out of the library; the files stay where they are.

    sdx rag rm standing-orders.pdf
    """
    from sdx_agents.library import opened

    with opened(domain, say, write=True) as library:
        reports = [library.remove(name, wait) for name in names]
    _end(sum(reports[1:], reports[0]), [], False, as_json)


@app.command()
def sync(
    domain: Domain = "ship",
    watch: Annotated[bool, typer.Option("--watch", help="go on whenever a file changes, until Ctrl-C")] = False,
    wait: Wait = 30.0,
    strict: Strict = False,
    as_json: AsJson = False,
) -> None:
    """Look at everything that was added again: what is new, changed or deleted there is so here.

    sdx rag sync --watch
    """
    from sdx_agents.library import opened

    with opened(domain, say, write=True) as library:
        report = library.sync(say, wait)
        while watch:
            _print(report, as_json, quiet=True)
            for _ in _changes([Path(source.path) for source in library.sources() if source.kind != "builtin"]):
                report = library.sync(say, wait)
                _print(report, as_json, quiet=True)
        notes = library.notes()
    _end(report, notes, strict, as_json)


@app.command()
def reindex(domain: Domain = "ship", wait: Wait = 30.0) -> None:
    """Build both indexes anew, with the embedding model of rag.yaml; no file is read again. Stopped, it goes on at the next call.

    sdx rag reindex --domain farm
    """
    from sdx_agents.library import bring_knowledge
    from sdx_rag.library import Library
    from sdx_rag.settings import RagSettings

    with Library.open(domain, RagSettings.read(), write=True) as library:
        made = library.reindex(say, wait)
        bring_knowledge(library, say)
        passages = sum(document.chunks for document in library.documents())
    print(f"{passages} passages indexed, {made} embedded")


for command in (rag_ask.search, rag_ask.ask):
    app.command()(command)
app.command("eval")(rag_eval.evaluate)
app.command()(rag_serve.serve)


def _changes(paths: list[Path]) -> Iterator[None]:
    """Whenever something under the paths may have changed."""
    try:
        from watchfiles import watch
    except ModuleNotFoundError:
        while True:
            time.sleep(POLL_S)
            yield
    for _ in watch(*(path for path in paths if path.exists()), raise_interrupt=True):
        yield


def _end(report: "Report", notes: list[str], strict: bool, as_json: bool) -> None:
    _print(report, as_json)
    for note in notes:
        say(f"note: {note}")
    nothing = not (report.indexed or report.unchanged or report.removed)
    raise typer.Exit(1 if report.failed and (strict or nothing) else 0)


def _print(report: "Report", as_json: bool, quiet: bool = False) -> None:
    """What became of the files; `quiet`: nothing where nothing changed."""
    if quiet and not (report.indexed or report.removed or report.failed):
        return
    if as_json:
        print(json.dumps(asdict(report), ensure_ascii=False), flush=True)
        return
    counts = {"indexed": report.indexed, "unchanged": report.unchanged, "removed": report.removed, "could not be read": report.failed}
    words = ", ".join(f"{len(names)} {what}" for what, names in counts.items() if names)
    print(f"{words or 'nothing to do'} ({report.passages} new passages, {report.seconds:.1f} s)", flush=True)
    for name, reason in report.failed:
        print(f"  {name}: {reason}", flush=True)
