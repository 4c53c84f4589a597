"""How often a compressed model chooses as the uncompressed one does, along that one's own greedy answers. Start at agreement()."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from sdx_finetune.journal import write_whole
from sdx_finetune.parity.gate import opened

PATH_TOKENS = 128
"""Of a greedy answer, at most."""


@dataclass(frozen=True, slots=True)
class Agreement:
    """Over all tokens of all answers."""

    top1: float
    """Share of positions with the same first choice after the same tokens."""
    greedy: float
    """Share of tokens before the first other choice: what two greedy answers have in common."""
    positions: int
    rows: int


def greedy_paths(file: Path, prompts: Sequence[list[int]], out: Path) -> list[tuple[list[int], int]]:
    """(prompt and greedy answer, where the answer begins) of the model in `file`; kept in `out`, and taken from there."""
    if out.exists():
        return [(ids, start) for ids, start in json.loads(out.read_text(encoding="utf-8"))]
    made: list[tuple[list[int], int]] = []
    with opened(file, max(map(len, prompts)) + PATH_TOKENS + 8) as stack:
        for ids in prompts:
            answer = stack.greedy(ids, PATH_TOKENS)
            length = next((i + 1 for i, token in enumerate(answer) if stack.ends(token)), PATH_TOKENS)
            made.append(([*ids, *answer[:length]], len(ids)))
    write_whole(out, json.dumps(made).encode())
    return made


def agreement(file: Path, paths: Sequence[tuple[list[int], int]]) -> Agreement:
    """Read each path once with the model in `file`: a GGUF file, or a folder that the parity gate opens."""
    same = positions = common = 0
    with opened(file, max(len(ids) for ids, _ in paths) + 8) as stack:
        for ids, start in paths:
            choices = stack.scores(ids)[0][start - 1 : len(ids) - 1]
            hits = [int(choice) == wanted for choice, wanted in zip(choices, ids[start:], strict=True)]
            same, positions = same + sum(hits), positions + len(hits)
            common += hits.index(False) if False in hits else len(hits)
    return Agreement(round(same / positions, 5), round(common / positions, 5), positions, len(paths))
