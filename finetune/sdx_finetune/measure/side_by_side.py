"""Several models on the same frozen rows: figures, paired differences, and the rows that were lost. Start at compare().

In the folder: evaluation/<label>-<how asked>.answers.jsonl (answers as they come; the same call goes on from them), evaluation.json.
"""

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from sdx_domains.contract import digest
from sdx_finetune import progress
from sdx_finetune.adapt.recipe import EMBEDDED, AdaptRecipe
from sdx_finetune.journal import write_whole
from sdx_finetune.measure.evaluate import Answerer, EndpointAnswerer, LocalAnswerer, Score, Scorer, answered, summary
from sdx_finetune.measure.paired import paired_all, verdict
from sdx_finetune.progress import Say
from sdx_finetune.rows import Row, load_function
from sdx_serving.provenance import provenance

NEW = "new"
WORST, MOST_LETTERS = 20, 2000
"""Lost rows that are shown, and of each text so much."""
_FILE_NAME = re.compile(r"[^\w.-]+")


@dataclass(frozen=True, slots=True)
class Candidate:
    """A model that is opened when its turn comes: memory holds one at a time."""

    label: str
    open: Callable[[], AbstractContextManager[Answerer]]


@dataclass(frozen=True, slots=True)
class Measure:
    """How answers are asked for and judged."""

    scorer: str
    """Dotted name of `scorer(row, answer) -> {metric: bool | float | None}`; more is better."""
    schema_of: str | None = None
    """Dotted name of `schema_of(row) -> JSON schema | None`."""
    group_by: tuple[str, ...] = ("language",)
    max_tokens: int = 512
    context: int = 2048
    threads: int = 1


def candidate(label: str, model: str, how: Measure) -> Candidate:
    """`model`: "embedded", a GGUF file, or an OpenAI-compatible address. FileNotFoundError when there is no such file."""
    if model.startswith(("http://", "https://")):
        return Candidate(label, lambda: _endpoint(model, how))
    from sdx_serving.connect import embedded_model_path

    path = embedded_model_path() if model == EMBEDDED else Path(model).expanduser()
    if not path.is_file():
        raise FileNotFoundError(f"{model}: no such file; give `embedded`, a GGUF file, or an address like http://127.0.0.1:8000/v1")
    return Candidate(label, lambda: _local(path, how))


def labels_of(models: Sequence[str]) -> list[str]:
    """A short name for each: the file's or the address's last part, numbered where two are the same."""
    names = [Path(model.rstrip("/")).stem if model.endswith(".gguf") else model.partition("#")[2] or model for model in models]
    return [f"{name}-{names[:i].count(name) + 1}" if name in names[:i] else name for i, name in enumerate(names)]


@contextmanager
def _local(path: Path, how: Measure) -> Iterator[Answerer]:
    answerer = LocalAnswerer(path, how.context, how.threads, how.max_tokens)
    try:
        yield answerer
    finally:
        answerer.model.close()


@contextmanager
def _endpoint(address: str, how: Measure) -> Iterator[Answerer]:
    from sdx_serving.connect import open_chat

    with open_chat(address) as client:
        yield EndpointAnswerer(client, address, max_tokens=how.max_tokens)


def compare(rows: Sequence[Row], candidates: Sequence[Candidate], how: Measure, work: Path, say: Say = lambda line: None) -> dict[str, Any]:
    """Ask all, score all, and hold the last candidate against each of the others. Writes work/evaluation.json.

    Raises:
        ValueError: no rows, rows with images, or a scorer that is not made for these rows.
    """
    if pictured := next((row for row in rows if row.images), None):
        raise ValueError(f"row {pictured.key} has images: this evaluation asks with text alone; give rows without them")
    scorer, schema_of = load_function(how.scorer), load_function(how.schema_of) if how.schema_of else lambda row: None
    models: list[dict[str, Any]] = []
    answers: list[dict[str, str]] = []
    scores: list[list[Score]] = []
    for number, one in enumerate(candidates):

        def told(done: int, total: int, before: int = number) -> None:
            progress.tell(work, "evaluate", (before + done / total) / len(candidates), rows=done, model=candidates[before].label)

        out = work / "evaluation" / f"{_FILE_NAME.sub('_', one.label)}-{digest([how.schema_of, how.max_tokens])[:8]}.json"
        with one.open() as answerer:
            kept = answered(rows, answerer, out, schema_of=schema_of, say=say, told=told)
            name = answerer.name
        scored = [(row, _scored(scorer, how.scorer, row, kept[row.key]["answer"])) for row in rows]
        models.append({"label": one.label, **summary(name, scored, kept, how.group_by)})
        answers.append({row.key: kept[row.key]["answer"] for row in rows})
        scores.append([score for _, score in scored])
    labels = [one.label for one in candidates]
    result = {
        "rows": len(rows),
        "rows_id": models[0]["rows_id"],
        "scorer": how.scorer,
        "models": models,
        "differences": _against(labels, scores, range(len(rows))),
        "differences_by": {key: _by_group(rows, key, labels, scores) for key in how.group_by},
        "worst": _worst(rows, labels, answers, scores),
        **provenance(),
    }
    write_whole(work / "evaluation.json", json.dumps(result, ensure_ascii=False, indent=1).encode())
    return result


def _scored(scorer: Scorer, name: str, row: Row, answer: str) -> Score:
    try:
        return scorer(row, answer)
    except Exception as error:
        raise ValueError(
            f"the scorer {name} fails on row {row.key} ({type(error).__name__}: {error}): is it made for rows like this one?"
        ) from error


def _against(labels: Sequence[str], scores: Sequence[Sequence[Score]], chosen: Sequence[int]) -> dict[str, Any]:
    """{label of another: {metric: difference of the last to it, interval, verdict}} over the chosen rows."""
    names = list(dict.fromkeys(name for one in scores for i in chosen for name in one[i]))
    table = np.array([[[_number(one[i].get(name)) for name in names] for i in chosen] for one in scores])
    found: dict[str, Any] = {}
    for number, label in enumerate(labels[:-1]):
        differences = paired_all(table[-1] - table[number])
        named = ((name, one) for name, one in zip(names, differences, strict=True) if one is not None)
        found[label] = {name: {**asdict(one), "verdict": verdict(one)} for name, one in named}
    return found


def _number(value: bool | float | None) -> float:
    return float("nan") if value is None else float(value)


def _by_group(rows: Sequence[Row], key: str, labels: Sequence[str], scores: Sequence[Sequence[Score]]) -> dict[str, Any]:
    groups = sorted({str(row.meta[key]) for row in rows if key in row.meta})
    return {
        group: _against(labels, scores, [i for i, row in enumerate(rows) if key in row.meta and str(row.meta[key]) == group])
        for group in groups
    }


def _worst(
    rows: Sequence[Row], labels: Sequence[str], answers: Sequence[Mapping[str, str]], scores: Sequence[Sequence[Score]]
) -> list[dict[str, Any]]:
    """Rows where the last model lost most against another: what to read first."""
    found: list[tuple[float, dict[str, Any]]] = []
    for i, row in enumerate(rows):
        drops = [_drop(one[i], scores[-1][i]) for one in scores[:-1]]
        if not drops or max(drops)[0] <= 0:
            continue
        drop, lost = max(drops)
        record = {
            "key": row.key,
            "meta": row.meta,
            "asked": row.messages[-2].content[-MOST_LETTERS:],
            "expected": row.messages[-1].content[:MOST_LETTERS],
            "answers": {label: one[row.key][:MOST_LETTERS] for label, one in zip(labels, answers, strict=True)},
            "lost": lost,
        }
        found.append((drop, record))
    return [record for _, record in sorted(found, key=lambda one: -one[0])[:WORST]]


def _drop(before: Score, after: Score) -> tuple[float, list[str]]:
    """Mean loss over the metrics that both have, and the names of those that fell."""
    falls = {name: _number(before[name]) - _number(after.get(name)) for name in before}
    falls = {name: fall for name, fall in falls.items() if not np.isnan(fall)}
    return sum(falls.values()) / max(len(falls), 1), [name for name, fall in falls.items() if fall > 0]


def evaluate_recipe(recipe: AdaptRecipe, base: Path, new: Path, rows: Sequence[Row], work: Path, say: Say) -> dict[str, Any]:
    """The stage `evaluate` of a recipe: work/evaluation.json and work/report.html.

    Args:
        base: folder of the model that was adapted, as adapt.base.resolve gives it.
        new: the GGUF file that came out.
        rows: all held-out rows.

    Raises:
        ValueError, FileNotFoundError: as compare(), or a file of evaluate.against is missing.
    """
    from sdx_finetune.datasets.store import Store
    from sdx_finetune.measure.report import write_report

    spec = recipe.evaluate
    context = max(2048, recipe.train.max_length + spec.max_tokens)
    how = Measure(spec.scorer, spec.schema_of, spec.group_by, spec.max_tokens, context, recipe.train.threads)
    models = [_base_file(recipe, base, work, say) if name == "base" else name for name in spec.against]
    labels = labels_of([*spec.against, NEW])
    candidates = [candidate(label, model, how) for label, model in zip(labels, [*models, str(new)], strict=True)]
    result = compare(rows, candidates, how, work, say)
    card = Store().card(recipe.data.dataset)
    write_report(result, work / "report.html", title=recipe.name, work=work, recipe=recipe.model_dump(mode="json"), card=card)
    say(f"report: {work / 'report.html'}")
    return result


def _base_file(recipe: AdaptRecipe, folder: Path, work: Path, say: Say) -> str:
    """The base as something to serve; a folder becomes a GGUF file as fine as the one that ships, for a fair comparison."""
    given = recipe.base.model
    if given == EMBEDDED or given.endswith(".gguf"):
        return given
    from sdx_finetune.adapt.base import weights_sha256
    from sdx_finetune.export.gguf_file import Label, export_gguf
    from sdx_finetune.export.quantise import quantise

    kind = recipe.export.chosen
    target = work / "evaluation" / f"base-{weights_sha256(folder)[:12]}-{kind}.gguf"
    if not target.exists():
        say(f"the base as {target.name}")
        target.parent.mkdir(parents=True, exist_ok=True)
        whole = export_gguf(folder, target.with_suffix(".F32"), Label(given, "", "", recipe.languages))
        if kind == "F32":
            whole.replace(target)
        else:
            quantise(whole, target, kind, recipe.train.threads)
            whole.unlink()
    return str(target)
