"""A recommendation becomes a choice. Start at recommended()."""

import shlex
from dataclasses import replace
from pathlib import Path

from pydantic import ValidationError

from sdx_serving.deploy.choice import Choice, table
from sdx_serving.deploy.manifest import BundleError
from sdx_serving.recommend.choose import Recommendation


def recommended(choice: Choice, file: Path, own_model: bool = False) -> Choice:
    """`choice` with model, engine, context, concurrency, threads, device, task and memory of the first that can be started.

    Args:
        file: what `sdx recommend --json` wrote.
        own_model: keep the choice's model, e.g. where the recommended file lies elsewhere than was said.

    Raises:
        BundleError: it is no recommendation, it recommends nothing, or the model's file is not on this machine.
    """
    try:
        found = Recommendation.model_validate_json(file.read_bytes())
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "content"
        raise BundleError(f"{file}: {where}: {first['msg']}; write it with `sdx recommend ... --json > {file}`") from error
    best = next((one for one in found.choices if one.run), None)
    if best is None:
        reasons = "; ".join(f"{out.model} {out.quantisation} on {out.runtime}: {out.why}" for out in found.ruled_out[:3])
        raise BundleError(f"{file} recommends nothing that can be started. Ruled out: {reasons or 'nothing was looked at'}")
    words = shlex.split(best.run)  # sdx serve MODEL --engine ... --context ... [--parallel N] [--threads N]
    model = choice.model if own_model or words[2] == "embedded" else Path(words[2]).expanduser()
    if not own_model and not model.exists():
        raise BundleError(f"{file}: its first choice is {words[2]}, which is not on this machine: fetch it, and say where with --model")
    return replace(
        choice,
        model=model,
        engine=best.runtime,
        context_tokens=best.context_tokens,
        parallel=int(found.inputs.get("concurrency") or 1),
        threads=int(words[words.index("--threads") + 1]) if "--threads" in words else choice.threads,
        device=found.device,
        task=choice.task or (found.task if found.task in table("parts") else ""),
        needs_bytes=best.figures.memory.total,
    )
