"""sdx bench rag: retrieval, part by part, and how well it finds and answers."""

import json
import os
import platform
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from sdx_rag.evaluate import Evaluation

CHUNKS, TEXTS = 50_000, 300


def rag(
    lexical: Annotated[bool, typer.Option("--lexical", help="the index of words against another engine")] = False,
    embedding: Annotated[bool, typer.Option("--embedding", help="the embedding model through ours against its bare engine")] = False,
    search: Annotated[bool, typer.Option("--search", help="a library of --chunks: search, ingest, re-index")] = False,
    gold: Annotated[bool, typer.Option("--gold", help="the gold questions: recall, support, refusals; three sides")] = False,
    chunks: Annotated[int, typer.Option(min=100, help="of --lexical and --search")] = CHUNKS,
    texts: Annotated[int, typer.Option(min=10, help="of --embedding")] = TEXTS,
    seed: Annotated[int, typer.Option(help="of the synthetic text")] = 0,
    kept: Annotated[
        Path | None, typer.Option("--keep", help="folder for the library of --search; used again it goes on from there")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="folder for results.json and README.md")] = None,
) -> None:
    """Measure retrieval; without an option all four parts. The result is JSON on standard output.

    sdx bench rag --gold

    sdx bench rag --out docs/benchmarks/rag
    """
    from sdx_agents.bench import commit

    wanted = {"lexical": lexical, "embedding": embedding, "search": search, "gold": gold}
    parts: dict[str, Callable[[], Any]] = {
        "lexical": lambda: _lexical(chunks, seed),
        "embedding": lambda: _embedding(texts, seed),
        "search": lambda: _search(chunks, seed, kept),
        "gold": _gold,
    }
    result: dict[str, Any] = {
        "commit": commit(),
        "cores": os.cpu_count(),
        "machine": platform.machine(),
        "python": platform.python_version(),
        "seed": seed,
    }
    for name, measure in parts.items():
        if wanted[name] or not any(wanted.values()):
            _say(f"{name}...")
            result[name] = measure()
    print(_json(result))
    if out is not None:
        _write(out, result)


def _lexical(chunks: int, seed: int) -> dict[str, Any]:
    from sdx_rag.bench.lexical import measure

    return measure(chunks, seed)


def _embedding(texts: int, seed: int) -> dict[str, Any]:
    from sdx_rag.bench.embedding import measure

    return measure(texts, seed)


def _search(chunks: int, seed: int, kept: Path | None) -> dict[str, Any]:
    from sdx_rag.bench.search import measure

    with TemporaryDirectory() as folder:
        return measure(chunks, seed, kept or Path(folder), _say)


def _gold() -> "Evaluation":
    from sdx_ui.commands.rag_eval import evaluated

    return evaluated(None, _say)


def _json(result: Mapping[str, Any]) -> str:
    return json.dumps(result, indent=1, ensure_ascii=False, default=lambda part: part.model_dump(mode="json"))


def _write(out: Path, result: Mapping[str, Any]) -> None:
    """results.json, and README.md with the tables; whole or absent."""
    from sdx_rag.evaluate import markdown

    out.mkdir(parents=True, exist_ok=True)
    head = f"# Retrieval, measured\n\n`sdx bench rag` on {result['cores']} cores ({result['machine']}), commit {result['commit']}, seed {result['seed']}.\n"
    parts = [head]
    for name in ("lexical", "embedding", "search"):
        if name in result:
            parts.append(f"## {name}\n\n" + _table(result[name]))
    if "gold" in result:
        parts.append("## Gold questions\n\n" + markdown(result["gold"]))
    for name, text in (("results.json", _json(result) + "\n"), ("README.md", "\n".join(parts))):
        beside = out / f".{name}.part"
        beside.write_text(text, encoding="utf-8")
        beside.replace(out / name)
    _say(f"written: {out / 'results.json'}, {out / 'README.md'}")


def _table(figures: Mapping[str, Any]) -> str:
    """Every figure with its path of names."""
    rows = "".join(_rows(figures, ""))
    return f"| figure | value |\n|---|---|\n{rows}"


def _rows(figures: Mapping[str, Any], above: str) -> Iterator[str]:
    for name, value in figures.items():
        if isinstance(value, Mapping):
            yield from _rows(value, f"{above}{name}, ")
        else:
            shown = f"{value:.4g}" if isinstance(value, float) else str(value)
            yield f"| {above}{name} | {shown} |\n".replace("_", " ")


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
