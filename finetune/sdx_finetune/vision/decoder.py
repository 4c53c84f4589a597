"""Train projector and decoder together on chat rows, visual tokens in the place of <ct:HANDLE>. Start at SeeingRun.

The loop, its checkpoints and its schedule are those of the decoder from scratch; what differs is where a row's vectors come from.
"""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import PreTrainedTokenizerFast

from sdx_finetune.datasets.vocabulary import TURN_END, TURN_START
from sdx_finetune.progress import Say
from sdx_finetune.recipe import TrainSpec
from sdx_finetune.rows import Row
from sdx_finetune.scratch.batches import Batch, TokenRows
from sdx_finetune.scratch.model import build_model
from sdx_finetune.scratch.tokenizer import Encoded
from sdx_finetune.scratch.train import Log, Run
from sdx_finetune.vision.cases import Cases
from sdx_finetune.vision.projector import Projector, token_count
from sdx_finetune.vision.recipe import VISION_TOKEN, VisionRecipe
from sdx_serving.vision.marks import split


def encode_row(tokenizer: PreTrainedTokenizerFast, row: Row, visual: int) -> Encoded:
    """Ids as serving will see them: text before and after a volume's mark is tokenised apart, the mark is `visual` places.

    Learnt are the last answer's words and the marker that ends it.
    """
    backend, place = tokenizer.backend_tokenizer, tokenizer.convert_tokens_to_ids(VISION_TOKEN)
    assert isinstance(place, int)
    *turns, answer = row.messages
    prompt = "".join(f"{TURN_START}{turn.role}\n{turn.content}{TURN_END}\n" for turn in turns) + f"{TURN_START}{answer.role}\n"
    ids: list[int] = []
    for number, text in enumerate(split(prompt)):
        ids += [place] * visual if number else []
        ids += backend.encode(text, add_special_tokens=False).ids
    said = backend.encode(answer.content + TURN_END, add_special_tokens=False).ids
    return Encoded(ids + said, [False] * len(ids) + [True] * len(said))


def encode_cases(cases: Cases, tokenizer: PreTrainedTokenizerFast, spec: TrainSpec, labels: int, first: int) -> TokenRows:
    """All rows as ids. `first`: number of the split's first volume among those of all splits.

    Raises:
        ValueError: more than max_dropped of them are longer than max_length.
    """
    kept, numbers, longest = [], [], 0
    for row, volume in zip(cases.rows, cases.volumes, strict=True):
        encoded = encode_row(tokenizer, row, token_count(labels))
        longest = max(longest, len(encoded.ids))
        if len(encoded.ids) <= spec.max_length:
            kept.append(encoded)
            numbers.append(first + int(volume) if volume >= 0 else -1)
    dropped = len(cases.rows) - len(kept)
    if dropped > spec.max_dropped * len(cases.rows) or not kept:
        raise ValueError(
            f"{dropped} of {len(cases.rows)} rows are longer than train.max_length {spec.max_length} (longest {longest}): raise it"
        )
    starts = np.concatenate([[0], np.cumsum([len(encoded.ids) for encoded in kept])]).astype(np.int64)
    ids = np.concatenate([np.asarray(encoded.ids, np.uint16) for encoded in kept])
    learnt = np.concatenate([np.asarray(encoded.learnt, bool) for encoded in kept])
    return TokenRows(ids, learnt, starts, dropped, np.array(numbers, np.int64))


def with_visual(words: Tensor, ids: Tensor, place: int, tokens: Tensor) -> Tensor:
    """Word vectors (rows, length, width) with visual tokens (volumes, count, width) where `ids` are `place`, in order."""
    return words.masked_scatter((ids == place).unsqueeze(-1), tokens.to(words.dtype))


def new_model(recipe: VisionRecipe, tokenizer: PreTrainedTokenizerFast, labels: int) -> Any:
    """A decoder of random weights with a projector as a part of it."""
    model: Any = build_model(recipe.model, tokenizer, recipe.train.seed)
    model.projector = Projector(recipe.encoder, labels, recipe.projector_hidden, recipe.model.hidden)
    return model


class SeeingRun(Run):
    """A run of the trainer from scratch whose rows are about volumes."""

    def __init__(
        self, recipe: VisionRecipe, tokenizer: PreTrainedTokenizerFast, train: Cases, held_out: Cases, labels: int, work: Path, say: Say,
        log: Log = lambda metrics, step: None,
    ) -> None:  # fmt: skip
        spec = recipe.train
        learnt_rows = encode_cases(train, tokenizer, spec, labels, 0)
        held_rows = encode_cases(held_out, tokenizer, spec, labels, len(train.seeds))
        super().__init__(recipe.decoder(), tokenizer, learnt_rows, held_rows, work, say, log, new_model(recipe, tokenizer, labels))
        self.label_tokens = torch.from_numpy(np.concatenate([train.label_tokens, held_out.label_tokens]))
        self.slab_tokens = torch.from_numpy(np.concatenate([train.slab_tokens, held_out.slab_tokens]))
        self.place = int(tokenizer.convert_tokens_to_ids(VISION_TOKEN))  # pyright: ignore[reportArgumentType]
        self.dropout = nn.Dropout1d(recipe.token_dropout)

    def loss_sum(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """See Run.loss_sum."""
        assert batch.images is not None
        ids = torch.from_numpy(batch.ids).to(self.device)
        weights = torch.from_numpy(batch.weights).to(self.device)
        seeing = (ids == self.place).any(1).cpu().numpy()
        volumes = torch.from_numpy(batch.images[seeing])
        learnt = weights > 0
        with self.precision():
            tokens = self.model.projector(
                self.label_tokens[volumes].to(self.device).float(), self.slab_tokens[volumes].to(self.device).float()
            )
            if torch.is_grad_enabled():
                tokens = self.dropout(tokens)
            words = with_visual(self.model.model.embed_tokens(ids), ids, self.place, tokens)
            hidden = self.model.model(inputs_embeds=words, use_cache=False).last_hidden_state
            logits = self.model.lm_head(hidden[:, :-1][learnt]).float()
        chosen = weights[learnt]
        each = functional.cross_entropy(logits, ids[:, 1:][learnt], reduction="none")
        return (each * chosen).sum(), chosen.sum()


def finish(run: SeeingRun, recipe: VisionRecipe, folder: Path) -> None:
    """Save the decoder with its tokenizer as a Hugging Face folder, and the projector beside it (float32)."""
    clean = build_model(recipe.model, run.tokenizer, recipe.train.seed)
    state = run.model.state_dict()
    clean.load_state_dict({name: value for name, value in state.items() if not name.startswith("projector.")})
    clean.save_pretrained(folder)
    run.tokenizer.save_pretrained(folder)
    torch.save(run.model.projector.state_dict(), folder / "projector.pt")
