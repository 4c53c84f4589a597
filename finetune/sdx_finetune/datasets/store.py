"""Data sets by name and version: rows in JSONL, a card beside them. A version is the hash of its rows and never changes.

<home>/<name>/<version>/{train,eval,...}.jsonl, card.json, README.md      <home>/<name>/latest
"""

import json
import os
import re
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any
from uuid import uuid4

import orjson
from pydantic import BaseModel

from sdx_finetune.datasets.formats import Row
from sdx_finetune.journal import write_whole

NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
ALL = "all"


class Card(BaseModel):
    """What a version is, for people and programs."""

    name: str
    version: str
    made: str
    """UTC, ISO 8601."""
    sources: list[str]
    licence: str
    description: str
    rows: int
    dropped: int
    """Records of the sources that were left out."""
    tokens: int
    tokenizer: str
    languages: dict[str, int]
    groups: int
    splits: dict[str, int]
    parent: str = ""
    """The version that this one was split from."""


def default_home() -> Path:
    """$SDX_DATASETS, else ~/.local/share/sdx/datasets."""
    given = os.environ.get("SDX_DATASETS")
    return Path(given) if given else Path.home() / ".local/share/sdx/datasets"


class Store:
    """The data sets under one folder."""

    def __init__(self, home: Path | None = None) -> None:
        self.home = home or default_home()

    def add(self, rows: Mapping[str, Sequence[Row]], facts: Mapping[str, Any]) -> Card:
        """Write a version: split -> rows, and the card's other fields. Whole or not at all; the same rows give the same version.

        Raises ValueError for a name that cannot be a folder's.
        """
        name = str(facts["name"])
        if not NAME.fullmatch(name):
            raise ValueError(f"{name!r} cannot name a data set; use small letters, digits, '.', '_' and '-', at most 64")
        content = sha256()
        for split, part in rows.items():
            content.update(split.encode())
            for row in part:
                content.update(orjson.dumps(row, option=orjson.OPT_SORT_KEYS))
        version = content.hexdigest()[:12]
        counts = {split: len(part) for split, part in rows.items()}
        made = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        card = Card.model_validate({**facts, "version": version, "made": made, "rows": sum(counts.values()), "splits": counts})
        folder = self.home / name / version
        if not (folder / "card.json").exists():
            self._write(folder, rows, card)
        elif self.card(f"{name}@{version}").model_copy(update={"made": made}) != card:
            # The same rows under another licence or description: they stay, the card follows.
            write_whole(folder / "README.md", card_text(card).encode())
            write_whole(folder / "card.json", card.model_dump_json(indent=1).encode())
        self._point(name, version)
        return self.card(f"{name}@{version}")

    def _write(self, folder: Path, rows: Mapping[str, Sequence[Row]], card: Card) -> None:
        partial = folder.with_name(f".{folder.name}.{uuid4().hex[:8]}.partial")
        partial.mkdir(parents=True)
        try:
            for split, part in rows.items():
                with (partial / f"{split}.jsonl").open("wb") as file:
                    file.writelines(orjson.dumps(row) + b"\n" for row in part)
                    file.flush()
                    os.fsync(file.fileno())
            (partial / "README.md").write_text(card_text(card), encoding="utf-8")
            (partial / "card.json").write_text(card.model_dump_json(indent=1), encoding="utf-8")
            shutil.rmtree(folder, ignore_errors=True)
            partial.replace(folder)
        except BaseException:
            shutil.rmtree(partial, ignore_errors=True)
            raise

    def _point(self, name: str, version: str) -> None:
        write_whole(self.home / name / "latest", version.encode())

    def folder(self, name: str) -> Path:
        """Folder of "name" (its latest version) or "name@version". KeyError names what there is."""
        plain, _, version = name.partition("@")
        latest = self.home / plain / "latest"
        if not latest.exists():
            raise KeyError(
                f"no data set {plain!r} in {self.home}; there are: {', '.join(self.names()) or 'none'}; sdx data import makes one"
            )
        folder = self.home / plain / (version or latest.read_text(encoding="utf-8").strip())
        if not (folder / "card.json").exists():
            raise KeyError(
                f"data set {plain!r} has no version {version!r}; it has: {', '.join(card.version for card in self.versions(plain))}"
            )
        return folder

    def card(self, name: str) -> Card:
        return Card.model_validate_json((self.folder(name) / "card.json").read_text(encoding="utf-8"))

    def names(self) -> list[str]:
        return sorted(path.parent.name for path in self.home.glob("*/latest"))

    def versions(self, name: str) -> list[Card]:
        """Every version, oldest first."""
        cards = [Card.model_validate_json(path.read_text(encoding="utf-8")) for path in (self.home / name).glob("*/card.json")]
        return sorted(cards, key=lambda card: card.made)

    def files(self, name: str) -> dict[str, Path]:
        """split -> file."""
        folder = self.folder(name)
        return {split: folder / f"{split}.jsonl" for split in self.card(name).splits}

    def split(self, name: str, split: str) -> Path:
        """File of one split. ValueError when the data set has none of that name, KeyError when there is no such data set."""
        files = self.files(name)
        if split not in files:
            raise ValueError(f"data set {name} has no split {split!r}, only {', '.join(files)}: sdx data split {name.split('@')[0]}")
        return files[split]

    def rows(self, name: str) -> Iterator[tuple[str, Row]]:
        """(split, row) of every row."""
        for split, path in self.files(name).items():
            with path.open("rb") as file:
                for line in file:
                    yield split, orjson.loads(line)


def card_text(card: Card) -> str:
    """The card as Markdown."""
    splits = ", ".join(f"{name} {count}" for name, count in card.splits.items())
    languages = ", ".join(f"{name} {count}" for name, count in card.languages.items())
    lines = [
        f"# {card.name}@{card.version}",
        "",
        card.description or "No description was given.",
        "",
        f"- Rows: {card.rows} ({splits}); {card.dropped} records of the sources were left out.",
        f"- Tokens: {card.tokens} by {card.tokenizer or 'no tokenizer'}. Languages of the answers: {languages}.",
        f"- Groups (scenarios, patients) that splits keep whole: {card.groups}.",
        f"- Licence: {card.licence}. Made {card.made} from {', '.join(card.sources)}.",
    ]
    return "\n".join([*lines, f"- Split from {card.parent}.", ""] if card.parent else [*lines, ""])


def as_json(cards: Sequence[Card]) -> str:
    return json.dumps([card.model_dump() for card in cards], ensure_ascii=False, indent=1)
