"""Chat rows about phantoms as the trained encoder sees them: the decoder learns with the encoder's own errors. Start at make_cases().

Each phantom goes the way of a real study: slabs, encoder, measurements, candidate findings, picture, prompt. None of them was in the
encoder's training.
"""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sdx_domains.contract import digest
from sdx_domains.medicine.evidence import Evidence, Grid
from sdx_domains.medicine.labels import labels
from sdx_domains.medicine.slabs import slabs
from sdx_domains.medicine.volume import Series
from sdx_finetune.progress import Say
from sdx_finetune.rows import Row, check_row, load_function
from sdx_finetune.vision.recipe import DataOfVision
from sdx_finetune.vision.volumes import Job, jobs_of, rendered, run_jobs, written
from sdx_serving.vision.marks import replaced

SPLITS = ("cases", "eval_cases")
MODEL = "sdx-chest-ct"
READER = "reader.pt"
"""The trained encoder with its calibration, in the work folder."""


@dataclass(frozen=True, slots=True)
class CaseJob:
    """One shard of rows."""

    job: Job
    reader: Path
    reader_sha256: str
    rows: str

    @property
    def lines(self) -> Path:
        """The rows; the features lie in job.path, which is written last."""
        return self.job.path.with_suffix(".jsonl")


@dataclass(frozen=True, slots=True)
class Cases:
    """Rows of a split and what stands for their volumes."""

    rows: tuple[Row, ...]
    volumes: NDArray[np.int64]
    """(rows,) which volume each row is about; -1: none."""
    label_tokens: NDArray[np.float16]
    """(volumes, labels, features), before the projector."""
    slab_tokens: NDArray[np.float16]
    """(volumes, slab tokens, features)."""
    seeds: NDArray[np.int64]


@cache
def open_reader(path: Path) -> Any:
    """The encoder and its calibration, once in each process."""
    import torch

    from sdx_finetune.vision.calibrate import Reader
    from sdx_finetune.vision.encoder import Encoder
    from sdx_finetune.vision.recipe import EncoderSpec

    saved = torch.load(path, weights_only=True)
    reader = Reader(Encoder(EncoderSpec.model_validate(json.loads(saved["spec"])), len(labels())))
    reader.load_state_dict(saved["weights"])
    return reader.eval()


def evidence_of(reader: Any, picture: NDArray[np.uint8], grid: Grid, sha256: str) -> tuple[Evidence, Any]:
    """What the reader says of slabs, as the domain takes it, and the encoder's own features."""
    import torch

    with torch.no_grad():
        seen = reader.encoder(torch.from_numpy(picture[None]))
        probability = reader.probability(seen)[0].tolist()
        maps = torch.sigmoid(seen.scores)[0].numpy()
        unlike = float(reader.unlike(seen)[0])
    keys = [label.key for label in labels()]
    handle = hashlib.sha256(picture.tobytes()).hexdigest()[:32]
    named = dict(zip(keys, probability, strict=True))
    evidence = Evidence(named, dict(zip(keys, maps, strict=True)), grid, handle, MODEL, sha256, unlike)
    return evidence, seen


def study_of(phantom: Any, evidence: Evidence) -> Any:
    """The picture of a phantom."""
    from sdx_domains.medicine.perceive import StudyReading, see

    return see(StudyReading(source="phantom", series=Series(phantom.volume, phantom.facts), evidence=evidence))


def true_ids(study: Any, phantom: Any) -> tuple[str, ...]:
    """Candidates of a label that the phantom has."""
    there = {finding.label for finding in phantom.truth}
    return tuple(finding.id for finding in study.findings if finding.label in there)


def make_case_shard(asked: CaseJob) -> int:
    """Render, look, measure, write rows; the number of rows."""
    import torch

    torch.set_num_threads(1)
    reader, rows_of = open_reader(asked.reader), load_function(asked.rows)
    lines: list[str] = []
    label_tokens, slab_tokens = [], []
    for at, seed in enumerate(asked.job.seeds):
        phantom = rendered(seed, asked.job.render)
        picture, grid = slabs(phantom.volume)
        evidence, seen = evidence_of(reader, picture, grid, asked.reader_sha256)
        label_tokens.append(seen.label_tokens[0].numpy().astype(np.float16))
        slab_tokens.append(seen.slab_tokens[0].numpy().astype(np.float16))
        study = study_of(phantom, evidence)
        for number, raw in enumerate(rows_of(study, true_ids(study, phantom), seed)):
            row = check_row({**raw, "meta": {**raw.get("meta", {}), "volume": at, "seed": seed}}, f"{asked.rows}(seed={seed}) row {number}")
            lines.append(row.model_dump_json() + "\n")
    written(asked.lines, lambda file: file.write("".join(lines).encode()))
    arrays = {"label_tokens": np.stack(label_tokens), "slab_tokens": np.stack(slab_tokens), "seeds": np.array(asked.job.seeds)}
    written(asked.job.path, lambda file: np.savez_compressed(file, **arrays))  # pyright: ignore[reportArgumentType]
    return len(lines)


def case_jobs(data: DataOfVision, split: str, folder: Path, reader: Path) -> list[CaseJob]:
    """FileNotFoundError says which stage makes the reader."""
    if not reader.exists():
        raise FileNotFoundError(f"{reader} is missing: run the stage `encoder`")
    sha256 = hashlib.sha256(reader.read_bytes()).hexdigest()
    return [CaseJob(job, reader, sha256, data.rows) for job in jobs_of(data, split, folder, "cases", sha256 + data.rows)]


def make_cases(data: DataOfVision, split: str, folder: Path, reader: Path, workers: int, say: Say) -> None:
    """Write the shards of a split that are missing."""
    folder.mkdir(parents=True, exist_ok=True)
    run_jobs(case_jobs(data, split, folder, reader), make_case_shard, _is_there, workers, split, say)


def _is_there(asked: CaseJob) -> bool:
    return asked.job.path.exists()


def make_words(data: DataOfVision, folder: Path, say: Say) -> Path:
    """Rows without a volume, in one file, if it is not there."""
    path = folder / f"words-{digest([data.words_rows, data.words_seed])[:8]}-{data.words}.jsonl"
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        made = load_function(data.words_rows)(data.words, data.words_seed) if data.words else ()
        rows = [_without_volume(raw, f"{data.words_rows} row {number}") for number, raw in enumerate(made)]
        written(path, lambda file: file.writelines(row.model_dump_json().encode() + b"\n" for row in rows))
        say(f"words: {len(rows)} rows")
    return path


def _without_volume(raw: dict[str, Any], where: str) -> Row:
    turns = [{**turn, "content": replaced(turn["content"], "").lstrip("\n")} for turn in raw["messages"]]
    return check_row({**raw, "messages": turns}, where)


def open_cases(data: DataOfVision, folder: Path, reader: Path) -> tuple[Cases, Cases]:
    """Training and held out, which were made; rows of the first whose messages the second has too are left out."""
    first, second = (_opened(case_jobs(data, split, folder, reader)) for split in SPLITS)
    words = tuple(_rows(make_words(data, folder, lambda line: None)))
    others = {row.key for row in second.rows}
    both = zip((*first.rows, *words), [*first.volumes, *[-1] * len(words)], strict=True)
    kept = [(row, volume) for row, volume in both if row.key not in others]
    numbers = np.array([volume for _, volume in kept], np.int64)
    return Cases(tuple(row for row, _ in kept), numbers, first.label_tokens, first.slab_tokens, first.seeds), second


def _opened(jobs: list[CaseJob]) -> Cases:
    if missing := [job.job.path.name for job in jobs if not _is_there(job)]:
        raise FileNotFoundError(f"{len(missing)} of {len(jobs)} shards are missing, first {missing[0]}: run the stage `cases`")
    rows: list[Row] = []
    volumes: list[int] = []
    features: list[dict[str, NDArray[Any]]] = []
    before = 0
    for job in jobs:
        with np.load(job.job.path) as held:
            features.append({name: held[name] for name in ("label_tokens", "slab_tokens", "seeds")})
        for row in _rows(job.lines):
            rows.append(row)
            volumes.append(before + int(row.meta["volume"]))
        before += len(features[-1]["seeds"])
    whole = {name: np.concatenate([part[name] for part in features]) for name in features[0]}
    return Cases(tuple(rows), np.array(volumes, np.int64), whole["label_tokens"], whole["slab_tokens"], whole["seeds"])


def _rows(path: Path) -> Iterator[Row]:
    with path.open(encoding="utf-8") as file:
        for number, line in enumerate(file, 1):
            yield check_row(json.loads(line), f"{path}:{number}")
