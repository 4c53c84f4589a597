"""sdx data learn: what an agent decided and what came of it, as rows to learn from."""

import json
from pathlib import Path
from typing import Annotated

import typer


def learn(
    logs: Annotated[list[Path], typer.Argument(exists=True, dir_okay=False, help="audit files of one run: agent.jsonl, and guard.jsonl")],
    out: Annotated[Path, typer.Option(help="JSONL file to write, for `sdx data import`")],
    all_of_them: Annotated[bool, typer.Option("--all", help="rejected and failed decisions too; meta.verdict says so")] = False,
) -> None:
    """Write every decision with its later outcome as a row that `sdx data import`, augmentation and training read.

    sdx data learn runs/20260301-080000/audit/agent.jsonl runs/20260301-080000/audit/guard.jsonl --out learnt.jsonl
    """
    from sdx_agents.experience import rows

    made, told = rows(logs, all_of_them)
    if not made:
        raise ValueError(
            f"no row of {told.decisions} decisions: {told.too_young} too young to judge, {told.not_accepted} not accepted (--all takes them), "
            f"{told.other_prompt} asked with another version's prompt"
        )
    beside = out.with_name(out.name + ".part")
    beside.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in made), encoding="utf-8")
    beside.replace(out)
    print(
        f"{told.written} rows in {out}, of {told.decisions} decisions "
        f"({told.too_young} too young, {told.not_accepted} not accepted, {told.other_prompt} with another prompt)"
    )
