"""Rows of a stored data set in the shapes that TRL reads. A row is learnt whole or not at all; what is left out is counted."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sdx_domains.contract import digest
from sdx_finetune.adapt.recipe import AdaptRecipe
from sdx_finetune.datasets.formats import IMAGE
from sdx_finetune.datasets.store import Store
from sdx_finetune.progress import Say
from sdx_finetune.rows import Row, Split, read_rows

if TYPE_CHECKING:
    from datasets import Dataset  # pyright: ignore[reportAttributeAccessIssue]

BATCH = 256
Reader = Any
"""A tokenizer, or the processor of a vision-language model: transformers types neither of them usefully."""


@dataclass(frozen=True, slots=True)
class Splits:
    """What is learnt from, and the held-out rows whose loss is watched."""

    train: "Dataset"
    held_out: "Dataset"
    lengths: tuple[int, ...]
    """Tokens of each training row."""


def sees(reader: Reader) -> bool:
    """Whether the base reads images: then its reader is a processor and holds the tokenizer."""
    return hasattr(reader, "image_processor")


def stored_rows(recipe: AdaptRecipe, say: Say) -> tuple[list[Row], list[Row]]:
    """(training, held-out) rows, distinct, no held-out question-and-answer among the training rows."""
    name, store = recipe.data.dataset, Store()
    held_out = list(_distinct(read_rows([store.split(name, "eval")])))
    taken = {_asked(row, recipe) for row in held_out}
    train = list(_distinct(read_rows([store.split(name, "train")])))
    apart = [row for row in train if _asked(row, recipe) not in taken]
    if leaked := len(train) - len(apart):
        say(f"{leaked} training rows are held out too: left out of training")
    return apart[: recipe.data.train_rows], held_out


def splits(recipe: AdaptRecipe, reader: Reader, say: Say) -> Splits:
    """Both splits in the shape of the recipe's method.

    Raises:
        ValueError: nothing is left to learn from, or the rows do not go with the method or the base; says which and what to do.
    """
    train, held_out = stored_rows(recipe, say)
    kept, lengths = _fitting(train, "train", recipe, reader, say)
    beside, _ = _fitting(held_out, "eval", recipe, reader, say)
    chosen = beside[:: max(1, len(beside) // recipe.data.eval_rows)][: recipe.data.eval_rows]
    say(f"{len(kept)} training rows of {min(lengths)} to {max(lengths)} tokens, {len(chosen)} of {len(beside)} held-out rows for the loss")
    return Splits(as_dataset(kept, recipe, reader), as_dataset(chosen, recipe, reader), tuple(lengths))


def as_dataset(rows: Sequence[Row], recipe: AdaptRecipe, reader: Reader) -> "Dataset":
    """Columns prompt and completion (sft), prompt, chosen and rejected (dpo), prompt and row (grpo); images for a base that sees."""
    from datasets import Dataset, Image, List  # pyright: ignore[reportAttributeAccessIssue]

    parts = _parts if sees(reader) else _plain
    made = Dataset.from_list([_shaped(row, recipe, parts) | ({"images": list(row.images)} if sees(reader) else {}) for row in rows])
    return made.cast_column("images", List(Image())) if sees(reader) else made


def _shaped(row: Row, recipe: AdaptRecipe, parts: Callable[[str], Any]) -> dict[str, Any]:
    *before, last = ({"role": message.role, "content": parts(message.content)} for message in row.messages)
    match recipe.method:
        case "sft":
            return {"prompt": before, "completion": [last]}
        case "dpo":
            return {"prompt": before, "chosen": [last], "rejected": [last | {"content": parts(row.rejected or "")}]}
        case "grpo":
            return {"prompt": before, "row": row.model_dump_json()}


def _plain(text: str) -> str:
    return text


def _parts(text: str) -> list[dict[str, str | None]]:
    """Text and image marks as a processor's template wants them, images where the text has them."""
    pieces: list[dict[str, str | None]] = []
    for number, piece in enumerate(text.split(IMAGE)):
        if number:
            pieces.append({"type": "image", "text": None})
        if piece:
            pieces.append({"type": "text", "text": piece})
    return pieces


def _asked(row: Row, recipe: AdaptRecipe) -> str:
    """What may not stand in both splits; with grpo, which learns no answers, the question alone."""
    return digest([row.turns()[:-1] if recipe.method == "grpo" else row.turns(), row.images])


def _distinct(rows: Iterator[Row]) -> Iterator[Row]:
    seen: set[str] = set()
    for row in rows:
        key = digest([row.turns(), row.images, row.rejected])
        if key not in seen:
            seen.add(key)
            yield row


def _fitting(rows: list[Row], split: Split, recipe: AdaptRecipe, reader: Reader, say: Say) -> tuple[list[Row], list[int]]:
    """The rows that go with method, base and length, and their tokens."""
    where, limit = f"data set {recipe.data.dataset}, split {split}", recipe.train.max_length
    able = _able(rows, where, recipe, reader, say)
    room = limit - (recipe.grpo.max_tokens if recipe.grpo else 0)
    lengths = _lengths(able, recipe, reader)
    fitting = [(row, length) for row, length in zip(able, lengths, strict=True) if length <= room]
    if not fitting:
        shortest = f"the shortest of {len(able)} has {min(lengths)} tokens" if lengths else "it is empty"
        fix = "raise train.max_length, or shorten the rows" if lengths else "import rows, then sdx data split"
        raise ValueError(f"{where}: no row is left within train.max_length {limit}; {shortest}: {fix}")
    if longer := len(able) - len(fitting):
        say(f"{split}: {longer} of {len(able)} rows are longer than {room} tokens and left out (train.max_length; longest {max(lengths)})")
    return [row for row, _ in fitting], [length for _, length in fitting]


def _able(rows: list[Row], where: str, recipe: AdaptRecipe, reader: Reader, say: Say) -> list[Row]:
    seen = next((row for row in rows if row.images), None)
    if seen is not None:
        _check_images(seen, where, recipe, reader)
    if recipe.method != "dpo":
        return rows
    pairs = [row for row in rows if row.rejected]
    if not pairs:
        fix = "import preference rows (prompt, chosen, rejected), or set method: sft"
        raise ValueError(f"{where}: no row has a rejected answer, and method dpo learns from pairs: {fix}")
    if single := len(rows) - len(pairs):
        say(f"{where}: {single} of {len(rows)} rows have no rejected answer and are left out")
    return pairs


def _check_images(row: Row, where: str, recipe: AdaptRecipe, reader: Reader) -> None:
    if not sees(reader):
        fix = "choose a vision-language base.model, or import the data without images"
        raise ValueError(f"{where}: row {row.key} has {len(row.images)} image(s), and {recipe.base.model} reads text alone: {fix}")
    if recipe.method != "sft" or recipe.train.packing:
        raise ValueError(f"{where}: row {row.key} has images; those are learnt from by method sft without train.packing")


def _lengths(rows: list[Row], recipe: AdaptRecipe, reader: Reader) -> list[int]:
    """Tokens of each row as the trainer will make them; of a pair the longer, of a question with the opened answer."""
    if sees(reader):
        return [_seen_length(row, reader) for row in rows]
    asking = recipe.method == "grpo"
    chats = [row.turns()[:-1] if asking else row.turns() for row in rows]
    lengths = _counted(chats, reader, asking)
    if recipe.method == "dpo":
        other = [[*row.turns()[:-1], {"role": "assistant", "content": row.rejected or ""}] for row in rows]
        lengths = list(map(max, lengths, _counted(other, reader, False)))
    return lengths


def _counted(chats: list[list[dict[str, str]]], reader: Reader, opened: bool) -> list[int]:
    made: list[int] = []
    for start in range(0, len(chats), BATCH):
        texts = reader.apply_chat_template(chats[start : start + BATCH], tokenize=False, add_generation_prompt=opened)
        made += [len(ids) for ids in reader(texts, add_special_tokens=False)["input_ids"]]
    return made


def _seen_length(row: Row, reader: Reader) -> int:
    from PIL import Image, UnidentifiedImageError

    images = []
    for number, name in enumerate(row.images):
        try:
            with Image.open(Path(name)) as image:
                images.append(image.convert("RGB"))
        except (OSError, UnidentifiedImageError) as error:
            fix = "put it back, or import the data again; an address is to be downloaded first"
            raise ValueError(f"row {row.key}, images.{number}: {name} is no image that can be opened ({error}): {fix}") from error
    turns = [{"role": message.role, "content": _parts(message.content)} for message in row.messages]
    text = reader.apply_chat_template(turns, tokenize=False)
    return len(reader(text=[text], images=images or None, add_special_tokens=False)["input_ids"][0])
