"""sdx data: import, check, preview, split and show the rows that models are made from."""

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sdx_ui.commands import data_learn

if TYPE_CHECKING:
    from sdx_finetune.datasets.gather import Gathered
    from sdx_finetune.datasets.near import Embed
    from sdx_finetune.datasets.vocabulary import Vocabulary

app = typer.Typer(no_args_is_help=True, help="Data sets: import, check, look, split.")
app.command()(data_learn.learn)

SHOWN_FAULTS = 20
Sources = Annotated[list[str], typer.Argument(help="files or folders, or the name of a data set")]
Mapping = Annotated[
    list[str] | None, typer.Option("--map", help="TARGET=COLUMN of a table; targets: system user assistant rejected image group")
]
Encoding = Annotated[str, typer.Option(help="of CSV files, e.g. cp949")]
Tokenizer = Annotated[str, typer.Option(help="embedded, a GGUF file, a folder with tokenizer.json, or none")]
MaxLength = Annotated[int, typer.Option(min=16, help="longest row that training takes, tokens")]
Embeddings = Annotated[str | None, typer.Option(help="OpenAI-compatible URL: find near-duplicates by meaning too")]
AsJson = Annotated[bool, typer.Option("--json", help="the result as JSON on standard output")]


@app.command("import")
def import_(
    name: Annotated[str, typer.Argument(help="of the data set")],
    sources: Annotated[list[Path], typer.Argument(help="files (.jsonl .json .csv .tsv .parquet) or folders of ship scenes")],
    mapping: Mapping = None,
    encoding: Encoding = "utf-8-sig",
    licence: Annotated[str, typer.Option(help="of the data, e.g. CC-BY-4.0")] = "not stated",
    description: Annotated[str, typer.Option(help="a sentence for the card")] = "",
    tokenizer: Tokenizer = "embedded",
    max_length: MaxLength = 768,
    as_json: AsJson = False,
) -> None:
    """Check files and keep their good rows as a version of a data set. Faults are told by row and field; the sources stay untouched.

    sdx data import port-watch own.jsonl --licence CC-BY-4.0

    sdx data import port-watch log.csv --map user=question --map assistant=answer --map group=day
    """
    from sdx_finetune.datasets.check import check
    from sdx_finetune.datasets.gather import gather
    from sdx_finetune.datasets.store import ALL, Store

    found = gather(sources, _mapping(mapping), encoding)
    report = check(found, _vocabulary(tokenizer), max_length, say=_say)
    if not as_json:
        _print_report(report.model_dump())
    if not found.rows:
        raise ValueError(f"no row of {', '.join(map(str, sources))} could be kept: mend what is named above and import again")
    facts = {
        "name": name, "sources": [str(path.resolve()) for path in sources], "licence": licence, "description": description,
        "dropped": found.dropped, "tokens": report.tokens, "tokenizer": report.tokenizer, "languages": report.languages, "groups": report.groups,
    }  # fmt: skip
    card = Store().add({ALL: found.rows}, facts)
    if as_json:
        print(json.dumps({"card": card.model_dump(), "report": report.model_dump()}, ensure_ascii=False, indent=1))
    else:
        print(f"{card.name}@{card.version}: {card.rows} rows in {Store().folder(name)}; next: sdx data split {name}")


@app.command()
def check(
    sources: Sources,
    mapping: Mapping = None,
    encoding: Encoding = "utf-8-sig",
    tokenizer: Tokenizer = "embedded",
    max_length: MaxLength = 768,
    embeddings: Embeddings = None,
    as_json: AsJson = False,
) -> None:
    """Report every fault with row, field, value and fix; lengths, near-duplicates, leaks between splits. Exit code 1 if any row would be lost.

    sdx data check own.jsonl

    sdx data check port-watch --max-length 2048
    """
    from sdx_finetune.datasets.check import check as look

    found, splits = _gather(sources, mapping, encoding)
    report = look(found, _vocabulary(tokenizer), max_length, splits=splits, embed=_embed(embeddings), say=_say)
    if as_json:
        print(report.model_dump_json(indent=1))
    else:
        _print_report(report.model_dump())
    raise typer.Exit(0 if report.sound else 1)


@app.command()
def preview(
    sources: Sources,
    count: Annotated[int, typer.Option("-n", "--count", min=1, help="how many rows")] = 1,
    mapping: Mapping = None,
    encoding: Encoding = "utf-8-sig",
    tokenizer: Tokenizer = "embedded",
) -> None:
    """Rows as a model is trained on them: every token, the learnt ones in green (between [ ] where there is no colour).

    sdx data preview own.jsonl -n 2
    """
    from rich.console import Console

    from sdx_finetune.datasets.vocabulary import masked, open_vocabulary

    found, _ = _gather(sources, mapping, encoding)
    vocabulary = open_vocabulary(tokenizer)
    console = Console(highlight=False, soft_wrap=True)
    for row, place in list(zip(found.rows, found.places, strict=True))[:count]:
        pieces = masked(row, vocabulary)
        learnt = sum(is_learnt for _, is_learnt in pieces)
        console.print(f"{place}: {len(pieces)} tokens by {vocabulary.name}, {learnt} of them learnt", style="bold", markup=False)
        for piece, is_learnt in pieces:
            plain = not console.is_terminal
            console.print(f"[{piece}]" if is_learnt and plain else piece, style="green" if is_learnt else "dim", end="", markup=False)
            console.print("" if is_learnt and plain else "\u00b7", style="dim", end="")
        console.print()
    for fault in [fault for fault in found.faults if fault.drops][:SHOWN_FAULTS]:
        print(f"left out: {fault}", file=sys.stderr)


@app.command()
def split(
    name: Annotated[str, typer.Argument(help="of a data set, as NAME or NAME@VERSION")],
    evaluation: Annotated[float, typer.Option("--eval", help="share of rows kept for evaluation")] = 0.1,
    test: Annotated[float, typer.Option(help="share of rows for a last test")] = 0.0,
    by: Annotated[str | None, typer.Option(help="key of meta that names the scenario or patient")] = None,
    seed: Annotated[int, typer.Option(help="of the choice of groups")] = 0,
    as_json: AsJson = False,
) -> None:
    """A new version with train and eval (and test): whole scenarios or patients, near-duplicates kept on one side.

    sdx data split port-watch --eval 0.1 --test 0.1 --by day
    """
    from sdx_finetune.datasets.check import near_pairs
    from sdx_finetune.datasets.splits import assign, group_of, joined
    from sdx_finetune.datasets.store import Store

    store = Store()
    card = store.card(name)
    rows = [row for _, row in store.rows(name)]
    groups = joined([group_of(row, by) for row in rows], near_pairs(rows))
    shares = {"eval": evaluation, **({"test": test} if test else {})}
    split_of = assign(groups, shares, seed)
    parts = {kind: [row for row, given in zip(rows, split_of, strict=True) if given == kind] for kind in ("train", *shares)}
    facts = card.model_dump(exclude={"version", "made", "rows", "splits"}) | {
        "parent": f"{card.name}@{card.version}",
        "groups": len(set(groups)),
    }
    made = store.add(parts, facts)
    if as_json:
        print(made.model_dump_json(indent=1))
    else:
        print(
            f"{made.name}@{made.version}: "
            + ", ".join(f"{kind} {count}" for kind, count in made.splits.items())
            + f"; {made.groups} groups"
        )


@app.command()
def show(
    name: Annotated[str | None, typer.Argument(help="of a data set; without: all of them")] = None,
    rows: Annotated[int, typer.Option("--rows", min=0, help="print so many rows, too")] = 0,
    as_json: AsJson = False,
) -> None:
    """The data sets that are here, or one's card and versions.

    sdx data show port-watch --rows 2
    """
    from sdx_finetune.datasets.store import Store, card_text
    from sdx_finetune.datasets.store import as_json as cards_json

    store = Store()
    cards = [store.card(one) for one in store.names()] if name is None else [store.card(name)]
    if as_json:
        print(cards_json(cards))
        return
    if name is None:
        print("\n".join(f"{card.name}@{card.version}  {card.rows} rows  {card.made}" for card in cards) or f"no data sets in {store.home}")
        return
    print(card_text(cards[0]))
    print("versions: " + ", ".join(f"{card.version} ({card.rows} rows)" for card in store.versions(cards[0].name)))
    for number, (kind, row) in enumerate(store.rows(name)):
        if number == rows:
            break
        print(f"{kind}: {json.dumps(row, ensure_ascii=False)}")


def _say(line: str) -> None:
    print(line, file=sys.stderr)


def _mapping(given: list[str] | None) -> dict[str, str] | None:
    if not given:
        return None
    wrong = [item for item in given if "=" not in item]
    if wrong:
        raise ValueError(f"--map {wrong[0]!r} is not TARGET=COLUMN, e.g. --map assistant=answer")
    return dict(item.split("=", 1) for item in given)


def _vocabulary(name: str) -> "Vocabulary | None":
    from sdx_finetune.datasets.vocabulary import open_vocabulary

    return None if name == "none" else open_vocabulary(name)


def _gather(sources: list[str], mapping: list[str] | None, encoding: str) -> "tuple[Gathered, list[str] | None]":
    """Rows of files, or of one stored data set with the split of each."""
    from sdx_finetune.datasets.gather import Gathered, gather
    from sdx_finetune.datasets.store import Store

    store = Store()
    if len(sources) == 1 and not Path(sources[0]).exists() and sources[0].split("@")[0] in store.names():
        held = list(store.rows(sources[0]))
        places = [f"{kind}.jsonl row {number}" for number, (kind, _) in enumerate(held, 1)]
        return Gathered([row for _, row in held], places, [], len(held)), [kind for kind, _ in held]
    return gather([Path(source) for source in sources], _mapping(mapping), encoding), None


def _embed(url: str | None) -> "Embed | None":
    from sdx_finetune.datasets.near import embed_by_url

    return embed_by_url(url) if url else None


def _print_report(report: dict[str, Any]) -> None:
    print(f"{report['read']} records read, {report['kept']} kept ({report['kept_share']:.1%})")
    for fault in report["faults"][:SHOWN_FAULTS]:
        where = f"{fault['place']}: {fault['field']}" if fault["field"] else fault["place"]
        kind = "left out" if fault["drops"] else "look at"
        print(f"  {kind}  {where}: {fault['problem']} (value: {fault['value']}); {fault['fix']}")
    if len(report["faults"]) > SHOWN_FAULTS:
        print(f"  ... and {len(report['faults']) - SHOWN_FAULTS} more; --json shows all")
    print(f"answers by language: {_counts(report['languages'])}; groups: {report['groups']}; splits: {_counts(report['splits'])}")
    print(f"near-duplicates: {report['near_duplicates']}; leaks between splits: {report['leaks']}")
    if report["tokenizer"]:
        print(
            f"{report['tokens']} tokens by {report['tokenizer']}; longest {report['longest']}; over {report['max_length']}: {report['too_long']}"
        )
        most = max(report["lengths"].values(), default=1)
        for limit, count in report["lengths"].items():
            print(f"  {limit:>7} {count:>8} {'#' * max(1, round(40 * count / most))}")


def _counts(counts: dict[str, int]) -> str:
    return ", ".join(f"{name} {count}" for name, count in counts.items()) or "none"
