"""The proof that what ships answers as what was trained: labels and findings of phantoms, training stack against ONNX and GGUF."""

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import AutoModelForCausalLM, PreTrainedTokenizerFast

from sdx_domains.medicine.slabs import slabs
from sdx_finetune.progress import Say
from sdx_finetune.rows import Row
from sdx_finetune.vision.cases import Cases
from sdx_finetune.vision.decoder import encode_row, with_visual
from sdx_finetune.vision.export import Exported
from sdx_finetune.vision.recipe import VISION_TOKEN, VisionRecipe
from sdx_finetune.vision.volumes import rendered
from sdx_serving.llama.model import IMAGE
from sdx_serving.openai_protocol import Sampling
from sdx_serving.vision.encoder import Encoder
from sdx_serving.vision.marks import replaced
from sdx_serving.vision.tokens import SeeingModel

PRESENT = 0.5
JUDGED = ("yes", "uncertain", "no")


@dataclass(frozen=True, slots=True)
class Agreement:
    """How alike training stack and files are."""

    volumes: int
    labels: int
    label_agreement: float
    """Share of labels (volumes x labels) on the same side of one half, PyTorch against ONNX Runtime."""
    max_probability_difference: float
    max_token_difference: float
    findings: int
    finding_agreement: float
    """Share of candidate findings with the same answer, PyTorch end to end against ONNX Runtime with llama.cpp."""
    same_text: float
    """Share of answers that are the same to the letter."""
    wrong_form: int
    """Answers of the files that are no JSON object."""


def judged(text: str) -> dict[str, str]:
    """Findings and what an answer says of them, by their place in its JSON; {} when it is no object."""
    try:
        told = json.loads(text)
    except ValueError:
        return {}
    return dict(_judged(told, ""))


def _judged(told: Any, path: str) -> Iterator[tuple[str, str]]:
    if isinstance(told, dict):
        for key, value in told.items():
            yield from _judged(value, f"{path}.{key}")
    elif told in JUDGED:
        yield path, told


class Trained:
    """Reader, projector and decoder as they were trained, float32."""

    def __init__(self, exported: Exported, folder: Path) -> None:
        self.exported = exported
        self.model: Any = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
        self.tokenizer = PreTrainedTokenizerFast.from_pretrained(folder)
        place = self.tokenizer.convert_tokens_to_ids(VISION_TOKEN)
        assert isinstance(place, int)
        self.place = place

    def answer(self, row: Row, tokens: torch.Tensor, most: int) -> str:
        """Greedy, to the end mark or `most` tokens. `tokens`: (1, count, width)."""
        encoded = encode_row(self.tokenizer, row, tokens.shape[1])
        ids = torch.tensor([[token for token, learnt in zip(encoded.ids, encoded.learnt, strict=True) if not learnt]])
        with torch.no_grad():
            words = with_visual(self.model.model.embed_tokens(ids), ids, self.place, tokens)
            made = self.model.generate(
                inputs_embeds=words, attention_mask=torch.ones_like(ids), max_new_tokens=most, do_sample=False, pad_token_id=0
            )
        return str(self.tokenizer.decode(made[0], skip_special_tokens=True))


def compare(recipe: VisionRecipe, exported: Exported, model: Path, cases: Cases, release: Path, say: Say) -> Agreement:
    """One judging row of each volume, answered by both."""
    trained, encoder = Trained(exported, model), Encoder(release / "encoder.onnx", recipe.train.threads)
    decoder = SeeingModel(release / "decoder.gguf", recipe.model.context, recipe.train.threads)
    rows = {
        int(volume): row for row, volume in reversed(list(zip(cases.rows, cases.volumes, strict=True))) if judged(row.messages[-1].content)
    }
    labels, differences, token_differences, same, findings, wrong = [], [0.0], [0.0], [], [], 0
    try:
        for number, seed in enumerate(cases.seeds):
            picture, _ = slabs(rendered(int(seed), dict(recipe.data.render)).volume)
            seen = encoder.look(picture)
            with torch.no_grad():
                probability, _, tokens, _ = exported(torch.from_numpy(picture[None]))
            ours, theirs = probability[0].numpy(), np.array(list(seen.probability.values()))
            labels.append((ours >= PRESENT) == (theirs >= PRESENT))
            differences.append(float(np.abs(ours - theirs).max()))
            token_differences.append(float(np.abs(tokens[0].numpy() - seen.tokens).max()))
            if number in rows:
                wanted, got = trained.answer(rows[number], tokens, recipe.parity.tokens), _said(decoder, rows[number], seen.tokens, recipe)
                expected, found = judged(wanted), judged(got)
                same.append(wanted == got)
                wrong += not found
                findings += [expected.get(name) == found.get(name) for name in expected | found]
            if number % 10 == 9:
                say(f"{number + 1}/{len(cases.seeds)} phantoms, findings alike {np.mean(findings or [0]):.4f}")
    finally:
        decoder.close()
    sides = np.stack(labels)
    return Agreement(
        volumes=len(sides),
        labels=sides.size,
        label_agreement=float(sides.mean()),
        max_probability_difference=max(differences),
        max_token_difference=max(token_differences),
        findings=len(findings),
        finding_agreement=float(np.mean(findings)) if findings else 0.0,
        same_text=float(np.mean(same)) if same else 0.0,
        wrong_form=wrong,
    )


def _said(decoder: SeeingModel, row: Row, tokens: np.ndarray, recipe: VisionRecipe) -> str:
    messages = [{**turn, "content": replaced(turn["content"], IMAGE)} for turn in row.turns()[:-1]]
    return "".join(decoder.answer(messages, Sampling(max_tokens=recipe.parity.tokens), images=[tokens]))


def faults(found: Agreement, least: float) -> list[str]:
    """Why the files must not be released."""
    told = asdict(found)
    why = [f"{name} {told[name]:.4f} is below {least}" for name in ("label_agreement", "finding_agreement") if told[name] < least]
    if found.wrong_form > (1 - least) * found.volumes:
        why.append(f"{found.wrong_form} of {found.volumes} answers are no JSON object, even without a grammar: train longer")
    return why
