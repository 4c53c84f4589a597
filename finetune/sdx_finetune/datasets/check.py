"""What a data set holds and what is wrong with it, before any training starts. Start at check()."""

from collections import Counter
from collections.abc import Sequence
from itertools import islice

from pydantic import BaseModel

from sdx_domains.contract import language_of
from sdx_finetune.datasets.faults import Fault, shown
from sdx_finetune.datasets.formats import Row
from sdx_finetune.datasets.gather import Gathered
from sdx_finetune.datasets.near import Embed, Pair, near_by_meaning, near_by_words
from sdx_finetune.datasets.splits import group_of, leaks
from sdx_finetune.datasets.vocabulary import Vocabulary, chatml
from sdx_finetune.progress import Say

BUCKETS = (32, 64, 128, 256, 384, 512, 768, 1024, 1536, 2048, 4096, 8192)
NEAR_WORDS, NEAR_MEANING = 0.8, 0.97
"""Jaccard of shingles; cosine of embeddings."""


class Report(BaseModel):
    """The findings as JSON."""

    read: int
    kept: int
    kept_share: float
    faults: list[Fault]
    languages: dict[str, int]
    groups: int
    splits: dict[str, int]
    tokenizer: str
    tokens: int
    lengths: dict[str, int]
    """Rows by length: "<=128" -> rows."""
    longest: int
    max_length: int
    too_long: int
    """Rows over max_length: they would be dropped or truncated."""
    near_duplicates: int
    leaks: int

    @property
    def sound(self) -> bool:
        """There are rows, none was dropped, none is too long, nothing leaks."""
        return self.kept == self.read > 0 and not self.too_long and not self.leaks


def text_of(row: Row) -> str:
    """What near-duplicates are compared by: everything but the system turn, which rows share by design."""
    return "\n".join(message["content"] for message in row["messages"] if message["role"] != "system")


def near_pairs(rows: Sequence[Row], embed: Embed | None = None) -> list[Pair]:
    texts = [text_of(row) for row in rows]
    pairs = list(near_by_words(texts, NEAR_WORDS))
    if embed is not None:
        known = {second for _, second, _ in pairs}
        pairs += [pair for pair in near_by_meaning(texts, embed, NEAR_MEANING) if pair[1] not in known]
    return pairs


def check(
    gathered: Gathered,
    tokens: Vocabulary | None,
    max_length: int,
    *,
    splits: Sequence[str] | None = None,
    embed: Embed | None = None,
    say: Say = lambda line: None,
) -> Report:
    """Everything that can be told without a model. `splits`: the split of each row; else meta.split, else all "train"."""
    rows, places = gathered.rows, gathered.places
    faults = list(gathered.faults)
    say(f"{gathered.read} rows read, {len(rows)} kept; looking for near-duplicates")
    pairs = near_pairs(rows, embed)
    closest: dict[int, Pair] = {}
    for pair in pairs:
        closest[pair[1]] = max(closest.get(pair[1], pair), pair, key=lambda one: one[2])
    for first, second, alike in closest.values():
        problem = f"nearly the same as {places[first]} ({alike:.0%})"
        faults.append(
            Fault(places[second], "", shown(rows[second]["messages"][-1]["content"]), problem, "keep one of the two", drops=False)
        )
    split_of = list(splits) if splits is not None else [str(row["meta"].get("split", "train")) for row in rows]
    groups = [group_of(row) for row in rows]
    leaking = leaks(split_of, groups, pairs)
    for first, second, why in leaking:
        problem = f"in split {split_of[second]!r}, but {why} is in {split_of[first]!r} at {places[first]}"
        faults.append(Fault(places[second], "meta.split", shown(split_of[second]), problem, "split again: sdx data split", drops=False))
    lengths = _lengths(rows, tokens, say)
    too_long = [number for number, length in enumerate(lengths) if length > max_length]
    for number in too_long:
        problem = f"{lengths[number]} tokens, over {max_length}: it would be left out"
        fix = "shorten it, or raise --max-length and the recipe's train.max_length"
        faults.append(Fault(places[number], "messages", shown(rows[number]["messages"][0]["content"]), problem, fix, drops=False))
    return Report(
        read=gathered.read,
        kept=len(rows),
        kept_share=round(len(rows) / max(gathered.read, 1), 4),
        faults=faults,
        languages=dict(Counter(language_of(row["messages"][-1]["content"]) for row in rows)),
        groups=len(set(groups)),
        splits=dict(Counter(split_of)),
        tokenizer=tokens.name if tokens else "",
        tokens=sum(lengths),
        lengths=_histogram(lengths),
        longest=max(lengths, default=0),
        max_length=max_length,
        too_long=len(too_long),
        near_duplicates=len(closest),
        leaks=len(leaking),
    )


def _lengths(rows: Sequence[Row], tokens: Vocabulary | None, say: Say) -> list[int]:
    if tokens is None or not rows:
        return []
    say(f"counting tokens with {tokens.name}")
    texts = (chatml(row["messages"]) for row in rows)
    counted: list[int] = []
    while part := list(islice(texts, 1000)):
        counted += tokens.lengths(part)
    return counted


def _histogram(lengths: Sequence[int]) -> dict[str, int]:
    counts = Counter(next((f"<={limit}" for limit in BUCKETS if length <= limit), f">{BUCKETS[-1]}") for length in lengths)
    order = [*(f"<={limit}" for limit in BUCKETS), f">{BUCKETS[-1]}"]
    return {name: counts[name] for name in order if counts[name]}
