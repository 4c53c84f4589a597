"""The request of TANGO2's few-shot prompt service as a spec of ours, and our result as its answer.

A run is the module RUN with the spec's path and `--work FOLDER`; FOLDER then holds prompt.json, which answer() reads.
`bert_score` wants a model that is not shipped: chrF is measured instead, and the answer's notes say so.
"""

import json
import re
from pathlib import Path
from typing import Any, Literal

import orjson
import yaml
from pydantic import Field, field_validator

from sdx_domains.contract import Closed, Language, language_of
from sdx_finetune.journal import write_whole
from sdx_finetune.prompt.run import RESULT
from sdx_finetune.prompt.spec import PromptSpec

RUN = "sdx_finetune.prompt.run"
TASKS: dict[Language, str] = {"en": "Answer the query.", "ko": "질문에 답한다."}
"""The base prompt: the service's requests have none."""
INSTEAD = "bert_score was asked for and wants a model that is not shipped; chrF, which compares letters, was measured instead"


class Pair(Closed):
    """A query and the answer that is wanted."""

    query: str = Field(min_length=1, max_length=50_000)
    response: str = Field(min_length=1, max_length=50_000)


class FewShotRequest(Closed):
    """Body of the service's POST /run."""

    llm_url: str = Field(pattern=r"^https?://[^\s#]+$", max_length=2000)
    """OpenAI-compatible, with or without its version."""
    examples: tuple[Pair, ...] = Field(min_length=2, max_length=2000)
    model: str = Field("default", max_length=200, pattern=r"^[^\s#]+$")
    metric: Literal["token_f1", "bert_score"] = "token_f1"
    rounds: int = Field(0, ge=0, le=20)
    """0: quick, demos alone; more: MIPROv2, two candidates and the two that it begins with for each."""
    sync: bool = False
    """Whether the caller waits for the result."""

    @field_validator("examples")
    @classmethod
    def _differ(cls, pairs: tuple[Pair, ...]) -> tuple[Pair, ...]:
        if len({(pair.query, pair.response) for pair in pairs}) < 2:
            raise ValueError("at least 2 different examples are needed")
        return pairs


def write_spec(request: FewShotRequest, folder: Path) -> Path:
    """Write examples.jsonl and spec.yaml, which the run takes; the spec's path."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = [{"prompt": pair.query, "completion": pair.response} for pair in request.examples]
    write_whole(folder / "examples.jsonl", b"".join(orjson.dumps(row) + b"\n" for row in rows))
    languages = {language_of(pair.response) for pair in request.examples}
    language: Language = "en" if "en" in languages else "ko"
    url = request.llm_url.rstrip("/")
    address = url if re.search(r"/v\d+$", url) else f"{url}/v1"
    search: dict[str, Any] = {"optimiser": "bootstrap"}
    if request.rounds:
        search = {"optimiser": "mipro", "candidates": 2 + 2 * request.rounds}
    spec = {
        "name": "few-shot",
        "task": TASKS[language],
        "language": language if len(languages) == 1 else None,
        "rows": "examples.jsonl",
        "model": {"model": f"{address}#{request.model}"},
        "search": search,
        "metric": "chrf" if request.metric == "bert_score" else "token_f1",
    }
    path = folder / "spec.yaml"
    write_whole(path, yaml.safe_dump(spec, allow_unicode=True, sort_keys=False).encode())
    PromptSpec.load(path)
    return path


def answer(request: FewShotRequest, work: Path) -> dict[str, Any]:
    """The service's result fields, and the verdict. FileNotFoundError before the run has ended."""
    found = json.loads((work / RESULT).read_text(encoding="utf-8"))
    names = ("system_prompt", "instruction", "demos", "n_examples", "n_demos", "base_score", "final_score")
    notes = [*([INSTEAD] if request.metric == "bert_score" else []), *found["notes"]]
    more = {name: found.get(name) for name in ("verdict", "metric", "difference_interval", "messages")}
    return {**{name: found[name] for name in names}, **more, "notes": notes}
