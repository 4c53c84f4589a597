"""From a spec to a prompt with its measure; a kill loses what the model was still writing, nothing else.

python -m sdx_finetune.prompt.run finetune/recipes/prompt/ship-questions.yaml --work runs/ship-questions

In the work folder: calls.jsonl (see calls.py), run.json (what decides the result), dspy.log, prompt.json (the result), prompt.yaml
(the messages alone, for any OpenAI client), progress.json.
"""

import argparse
import json
import os
import signal
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import yaml

from sdx_finetune import progress
from sdx_finetune.journal import write_whole
from sdx_finetune.measure.evaluate import figure
from sdx_finetune.measure.paired import LEAST_ROWS, paired
from sdx_finetune.outcomes import Outcome, in_words, outcome_of
from sdx_finetune.progress import Say
from sdx_finetune.prompt.calls import Calls
from sdx_finetune.prompt.examples import Given, Prompt, plan, read_examples
from sdx_finetune.prompt.optimise import Choice, Finding, Optimiser, expected_calls
from sdx_finetune.prompt.spec import PromptSpec
from sdx_serving.client import ChatClient
from sdx_serving.connect import open_chat
from sdx_serving.provenance import provenance

RESULT = "prompt.json"
TELL_EVERY_S = 1.0


def improve(spec: PromptSpec, work: Path, say: Say, client: ChatClient | None = None) -> dict[str, Any]:
    """Run or resume; the result as it stands in prompt.json. Without `client` the spec's model is opened.

    Raises:
        ValueError: the spec, its rows or the folder are wrong; FileNotFoundError: there is no such file.
        ChatError: the model is gone or refuses everybody; the same call goes on.
    """
    given = read_examples(spec)
    if done := _begun(spec, work):
        say(f"{work / RESULT} is there already")
        return done
    if client is not None:
        return _improved(spec, given, work, say, client)
    key = os.environ.get(spec.model.api_key_env) if spec.model.api_key_env else None
    if spec.model.api_key_env and not key:
        raise ValueError(f"model.api_key_env: the environment variable {spec.model.api_key_env} is not set")
    with open_chat(spec.model.model, n_ctx=spec.model.context, api_key=key) as opened:
        return _improved(spec, given, work, say, opened)


def _improved(spec: PromptSpec, given: Given, work: Path, say: Say, client: ChatClient) -> dict[str, Any]:
    expected = expected_calls(spec, plan(given, spec))
    say(f"{len(given.examples)} rows, at most about {expected} calls of {spec.model.model}")
    calls = Calls(client, spec.model, work / "calls.jsonl", spec.max_calls, _teller(work, expected))
    try:
        finding = Optimiser(spec, given, calls, work / "dspy.log", say).run()
    finally:
        calls.stop()
    result = result_of(spec, given, finding, calls)
    messages = {"name": spec.name, "model": result["model"], "messages": result["messages"]}
    text = yaml.safe_dump(messages, allow_unicode=True, sort_keys=False, width=120)
    write_whole(work / "prompt.yaml", f"# Put the question behind them as a user's turn.\n{text}".encode())
    write_whole(work / RESULT, json.dumps(result, ensure_ascii=False, indent=1).encode())
    progress.tell(work, "prompt", 1.0, calls=len(calls.used), verdict=result["verdict"])
    return result


def _begun(spec: PromptSpec, work: Path) -> dict[str, Any] | None:
    """The result of an earlier run to its end. ValueError when the folder is another run's."""
    work.mkdir(parents=True, exist_ok=True)
    mark = work / "run.json"
    if mark.exists() and json.loads(mark.read_text(encoding="utf-8"))["id"] != spec.id:
        raise ValueError(f"{work} holds a run of another spec, or of other rows: name another --work, or remove it")
    if not mark.exists():
        write_whole(mark, json.dumps({"id": spec.id, "spec": spec.model_dump(mode="json")}, ensure_ascii=False, indent=1).encode())
    done = json.loads((work / RESULT).read_text(encoding="utf-8")) if (work / RESULT).exists() else None
    return done if done and done["max_calls"] == spec.max_calls else None


def _teller(work: Path, expected: int) -> Callable[[int], None]:
    began, last = time.monotonic(), 0.0

    def tell(count: int) -> None:
        nonlocal last
        now = time.monotonic()
        if now - last >= TELL_EVERY_S:
            last, done = now, min(0.99, count / max(1, expected))
            progress.tell(work, "prompt", done, calls=count, left_s=round((now - began) / done * (1.0 - done), 1))

    return tell


def result_of(spec: PromptSpec, given: Given, finding: Finding, calls: Calls) -> dict[str, Any]:
    """prompt.json."""
    measured, verdict, better = verdict_of(finding, spec.seed)
    choice, prompt = finding.choice, finding.choice.prompt if better or not finding.pairs else finding.base
    used = calls.used.values()
    sides = finding.plan.final
    models = sorted({said.model for said in used if said.model and not said.failure})
    return {
        "name": spec.name,
        "verdict": verdict,
        "improved": better,
        "measured_on": "nothing" if not finding.pairs else "cross-validation" if finding.folds else "test rows",
        "system_prompt": prompt.instruction,
        "instruction": prompt.instruction,
        "demos": _demos(prompt),
        "messages": prompt.messages(),
        "n_examples": len(given.examples),
        "n_demos": len(prompt.demos),
        "metric": spec.metric_name,
        "base_score": measured.get("base_score"),
        "final_score": measured.get("proposed_score") if better else measured.get("base_score"),
        **measured,
        "proposed": _proposed(choice),
        "base_instruction": finding.base.instruction,
        "candidates_on_validation": choice.scored,
        "optimiser": spec.search.optimiser,
        "refused": sorted({reason for one in (*finding.folds, choice) for reason in one.refused}),
        "notes": finding.notes,
        "rows": {name: [example.row.key for example in getattr(sides, name)] for name in ("train", "validation", "test")},
        "model": ", ".join(models) or spec.model.model,
        "language": spec.language,
        "calls": len(calls.used),
        "failed_calls": sum(bool(said.failure) for said in used),
        "tokens": {"prompt": sum(said.prompt_tokens for said in used), "answers": sum(said.completion_tokens for said in used)},
        "max_calls": spec.max_calls,
        "spec": spec.id,
        **_provenance(),
    }


def verdict_of(finding: Finding, seed: int) -> tuple[dict[str, Any], str, bool]:
    """(scores with their intervals, the verdict in words, whether the found prompt is better)."""
    if not finding.pairs:
        return {}, f"not measured: {finding.plan.notes[-1]}; the prompt shows the rows as they are", False
    base, final = [pair[1] for pair in finding.pairs], [pair[2] for pair in finding.pairs]
    gain = paired(base, final, seed)
    measured = {
        "base_score": figure(base).mean, "base_interval": _interval(base),
        "proposed_score": figure(final).mean, "proposed_interval": _interval(final),
        "difference": gain.mean, "difference_interval": [gain.low, gain.high], "test_rows": len(base),
    }  # fmt: skip
    if finding.choice.prompt == finding.base and not finding.folds:
        measured |= dict.fromkeys(("proposed_score", "proposed_interval", "difference", "difference_interval"))
        return measured, "no improvement seen: keep the base prompt; nothing was better on the validation rows", False
    told = f"{gain.mean:+.3f} (95 % {gain.low:+.3f}..{gain.high:+.3f}) on {len(base)} rows"
    if gain.rows < LEAST_ROWS:
        return measured, f"no improvement seen: keep the base prompt; {gain.rows} rows are too few to tell, the difference is {told}", False
    if finding.choice.prompt == finding.base or gain.low <= 0.0:
        return measured, f"no improvement seen: keep the base prompt; the difference is {told}", False
    return measured, f"improved by {told} that the search never saw", True


def _interval(scores: Sequence[float]) -> list[float]:
    """95 %, of a mean; within 0..1 where the scores are."""
    found, share = figure(scores), all(0.0 <= score <= 1.0 for score in scores)
    return [max(0.0, found.low), min(1.0, found.high)] if share else [found.low, found.high]


def _demos(prompt: Prompt) -> list[dict[str, str]]:
    return [{"query": query, "response": response} for query, response in prompt.demos]


def _proposed(choice: Choice) -> dict[str, Any] | None:
    """The best that was found, kept for reading even where it is not the one to serve."""
    if choice.proposed is None:
        return None
    scores = {"base_on_validation": choice.base_on_validation, "on_validation": choice.proposed_on_validation}
    return {"instruction": choice.proposed.instruction, "demos": _demos(choice.proposed), **scores}


def _provenance() -> dict[str, Any]:
    found = provenance()
    for name in ("dspy", "optuna"):
        try:
            found["packages"][name] = version(name)
        except PackageNotFoundError:
            found["packages"][name] = "absent"
    return found


def _stop(signum: int, frame: object) -> None:
    raise KeyboardInterrupt


def main(argv: Sequence[str] | None = None) -> int:
    """Exit code by outcomes.Outcome; the verdict does not change it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("spec", type=Path)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--json", action="store_true", help="the result as JSON on standard output")
    args = parser.parse_args(argv)
    signal.signal(signal.SIGTERM, _stop)
    signal.signal(signal.SIGINT, _stop)  # a shell without job control gives its children an ignored Ctrl-C
    try:
        result = improve(PromptSpec.load(args.spec), args.work, partial(print, file=sys.stderr, flush=True))
    except (Exception, KeyboardInterrupt) as error:
        if os.environ.get("SDX_DEBUG"):
            raise
        print(f"error: {in_words(error)}", file=sys.stderr)
        return outcome_of(error)
    print(json.dumps(result, ensure_ascii=False, indent=1) if args.json else f"{result['verdict']}\n{args.work / RESULT}")
    return Outcome.DONE


if __name__ == "__main__":
    sys.exit(main())
