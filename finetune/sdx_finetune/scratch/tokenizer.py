"""A byte-level BPE tokenizer of our own that llama.cpp reads as pre-tokenizer "qwen2".

Both stacks must split alike, so the regular expression is Qwen2's to the letter, digits stay single, and
there is no normaliser (llama.cpp has none): feed NFC text.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

from sdx_finetune.datasets.vocabulary import TURN_END, TURN_START
from sdx_finetune.recipe import TokenizerSpec
from sdx_finetune.rows import Row

# The split of Qwen2's tokenizer.json, which llama.cpp calls LLAMA_VOCAB_PRE_TYPE_QWEN2.
QWEN2_SPLIT = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
END_OF_TEXT = "<|endoftext|>"
SPECIALS = (END_OF_TEXT, TURN_START, TURN_END)
CHAT_TEMPLATE = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>' + '\\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)


@dataclass(frozen=True, slots=True)
class Encoded:
    """Token ids of a row and, for each, whether it is learnt."""

    ids: list[int]
    learnt: list[bool]


def fit_tokenizer(rows: Iterable[Row], spec: TokenizerSpec) -> PreTrainedTokenizerFast:
    """Train on the rows' text with the role names that the template writes around it."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(QWEN2_SPLIT), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=spec.vocab_size,
        min_frequency=spec.min_frequency,
        special_tokens=[*SPECIALS, *spec.extra_special],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    text = (part for row in rows for message in row.messages for part in (f"{message.role}\n", message.content))
    tokenizer.train_from_iterator(text, trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        eos_token=TURN_END,
        pad_token=END_OF_TEXT,
        additional_special_tokens=[TURN_START, *spec.extra_special],
        chat_template=CHAT_TEMPLATE,
        clean_up_tokenization_spaces=False,
    )


def load_tokenizer(folder: Path) -> PreTrainedTokenizerFast:
    """The tokenizer saved in a folder. FileNotFoundError says which stage makes it."""
    if not (folder / "tokenizer.json").exists():
        raise FileNotFoundError(f"{folder / 'tokenizer.json'} is missing: run the stage `tokenizer` first")
    return PreTrainedTokenizerFast.from_pretrained(folder)


def encode_row(tokenizer: PreTrainedTokenizerFast, row: Row, loss_on: Literal["last", "all"]) -> Encoded:
    """Ids as serving will see them: each answer is tokenised apart from the prompt before it.

    Learnt are the assistant's words and the marker that ends its turn.
    """
    backend = tokenizer.backend_tokenizer
    ids: list[int] = []
    learnt: list[bool] = []

    def add(text: str, learn: bool) -> None:
        new = backend.encode(text, add_special_tokens=False).ids
        ids.extend(new)
        learnt.extend([learn] * len(new))

    pending = ""
    for number, message in enumerate(row.messages):
        opening = f"{TURN_START}{message.role}\n"
        if message.role == "assistant" and (loss_on == "all" or number == len(row.messages) - 1):
            add(pending + opening, False)
            add(message.content + TURN_END, True)
            pending = "\n"
        else:
            pending += f"{opening}{message.content}{TURN_END}\n"
    return Encoded(ids, learnt)
