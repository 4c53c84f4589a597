"""The release gate: does the GGUF file read, think and answer as the training stack does?

Compared are the chat template's text, the token ids, the end and beginning markers, the logits at every position,
the first choice at every position, and the greedy continuation.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

import llama_cpp
import numpy as np
import torch
from llama_cpp.llama_chat_format import Jinja2ChatFormatter
from transformers import PreTrainedTokenizerFast, Qwen3ForCausalLM

from sdx_finetune.recipe import ParitySpec, Quantisation
from sdx_serving.llama_model import spare_amx

HARD_TEXTS = (
    "CPA 0.42 NM, TCPA 12.5 min; don't WE'LL 3rd\tR17(a)(ii)",
    "우현 변침 30도, 최근접 0.42해리. 횡단 상태",
    "  spaces   and\n\n\nlines\r\n  \n end  ",
    '{"a":["R15","R8"],"b":-1.50e3}',
    "naïve façade — “quotes” … 漢字 かな Ελληνικά עברית 🚢🌊 e\u0301",
    "!!!???***___---===:::;;;///\\\\\\",
    "x",
)
FLOAT: frozenset[Quantisation] = frozenset({"F32"})


@dataclass(frozen=True, slots=True)
class Report:
    """What was found for one file; `faults` empty = passed."""

    file: str
    quantisation: str
    positions: int
    template_equal: bool
    tokens_equal: bool
    max_logit_difference: float
    top1_agreement: float
    greedy_agreement: float
    """Share of greedy tokens before the first difference, over all prompts."""
    faults: tuple[str, ...]

    def text(self) -> str:
        lines = [f"{'PASS' if not self.faults else 'FAIL'} {self.file} ({self.quantisation}, {self.positions} positions)"]
        lines += [
            f"  {name}: {value}" for name, value in asdict(self).items() if name not in ("file", "quantisation", "positions", "faults")
        ]
        return "\n".join([*lines, *(f"  fault: {fault}" for fault in self.faults)])


class GgufModel:
    """A GGUF file opened for comparison: float32 cache, logits of all positions. Use as a context manager."""

    def __init__(self, path: Path, context: int, threads: int = 1) -> None:
        spare_amx(llama_cpp)
        self.path = path
        self.llama = llama_cpp.Llama(
            str(path), n_ctx=context, n_batch=context, n_threads=threads, n_threads_batch=threads, logits_all=True, verbose=False,
            type_k=llama_cpp.GGML_TYPE_F32, type_v=llama_cpp.GGML_TYPE_F32,
        )  # fmt: skip

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.llama.close()

    def tokens(self, text: str) -> list[int]:
        """As the file asks: with a beginning token only if its metadata says so."""
        return list(self.llama.tokenize(text.encode(), add_bos=True, special=True))

    def render(self, turns: list[dict[str, str]]) -> str:
        template = self.llama.metadata.get("tokenizer.chat_template", "")
        formatter = Jinja2ChatFormatter(template, eos_token="", bos_token="")
        return formatter(messages=turns).prompt  # type: ignore[arg-type]

    def logits(self, ids: Sequence[int]) -> np.ndarray:
        """(len(ids), vocabulary) float32."""
        self.llama.reset()
        self.llama.eval(list(ids))
        return np.array(self.llama.scores[: len(ids)], np.float32)

    def greedy(self, ids: Sequence[int], count: int) -> list[int]:
        """The next `count` tokens without any stop."""
        made: list[int] = []
        self.llama.reset()
        self.llama.eval(list(ids))
        for _ in range(count):
            made.append(int(np.argmax(self.llama.scores[self.llama.n_tokens - 1])))
            self.llama.eval([made[-1]])
        return made


def compare(folder: Path, path: Path, kind: Quantisation, chats: Sequence[list[dict[str, str]]], spec: ParitySpec) -> Report:
    """Hold `path` against the Hugging Face model in `folder` on prompts `chats` (turns up to the answer)."""
    tokenizer = PreTrainedTokenizerFast.from_pretrained(folder)
    model = Qwen3ForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    model.generation_config.eos_token_id = None  # both stacks run on past the end of the answer
    prompts = [str(tokenizer.apply_chat_template(chat, tokenize=False, add_generation_prompt=True)) for chat in chats]
    wanted = [tokenizer.backend_tokenizer.encode(prompt, add_special_tokens=False).ids for prompt in prompts]
    longest = max(map(len, wanted)) + spec.greedy_tokens + 8
    with GgufModel(path, longest) as file:
        faults = _text_faults(tokenizer, file, chats, prompts, wanted)
        faults += _marker_faults(tokenizer, file)
        template_equal = not any("template" in fault for fault in faults)
        tokens_equal = not any("token ids" in fault for fault in faults)
        difference, same, positions, greedy_same, greedy_all = 0.0, 0, 0, 0, 0
        for ids in wanted:
            with torch.no_grad():
                ours = model.generate(torch.tensor([ids]), max_new_tokens=spec.greedy_tokens, do_sample=False)[0].tolist()
                reference = model(torch.tensor([ours[:-1]])).logits[0].numpy()
            theirs = file.logits(ours[:-1])
            difference = max(difference, float(np.abs(reference - theirs).max()))
            same += int((reference.argmax(1) == theirs.argmax(1)).sum())
            positions += len(reference)
            greedy_same += _common(ours[len(ids) :], file.greedy(ids, spec.greedy_tokens))
            greedy_all += spec.greedy_tokens
    faults += _limit_faults(kind, difference, same / positions, greedy_same / greedy_all, spec)
    return Report(
        path.name, kind, positions, template_equal, tokens_equal, round(difference, 6),
        round(same / positions, 5), round(greedy_same / greedy_all, 5), tuple(faults),
    )  # fmt: skip


def _text_faults(
    tokenizer: PreTrainedTokenizerFast, file: GgufModel, chats: Sequence[list[dict[str, str]]], prompts: list[str], wanted: list[list[int]]
) -> list[str]:
    faults = []
    for chat, prompt in zip(chats, prompts, strict=True):
        if (theirs := file.render(chat)) != prompt:
            faults.append(f"chat template differs: {_first_difference(prompt, theirs)}")
            break
    texts = [(text, tokenizer.backend_tokenizer.encode(text, add_special_tokens=False).ids) for text in HARD_TEXTS]
    for text, ids in [*zip(prompts, wanted, strict=True), *texts]:
        if (theirs := file.tokens(text)) != ids:
            faults.append(f"token ids differ for {text[:60]!r}: {_first_difference(ids, theirs)}")
            break
    return faults


def _marker_faults(tokenizer: PreTrainedTokenizerFast, file: GgufModel) -> list[str]:
    """End marker, and that nothing is put before a text unasked."""
    faults = []
    if (theirs := file.llama.token_eos()) != tokenizer.eos_token_id:
        faults.append(
            f"EOS is token {theirs} in the file, {tokenizer.eos_token_id} ({tokenizer.eos_token}) in training: answers would not end"
        )
    ours = tokenizer("x").input_ids
    if (extra := len(file.tokens("x")) - len(ours)) != 0:
        faults.append(f"BOS: the file adds {extra} token(s) around a text that training did not: set tokenizer.ggml.add_bos_token alike")
    return faults


def _limit_faults(kind: Quantisation, difference: float, top1: float, greedy: float, spec: ParitySpec) -> list[str]:
    faults = []
    if kind in FLOAT and difference > spec.max_logit_difference:
        faults.append(
            f"logits differ by up to {difference:.4f}, allowed {spec.max_logit_difference}: weights, RoPE or norms are not the same"
        )
    if kind in FLOAT and greedy < 1.0:
        faults.append(f"greedy continuation agrees for {greedy:.1%} of tokens, must be all")
    least = spec.min_top1.get(kind, 0.0)
    if top1 < least:
        faults.append(f"first choice agrees at {top1:.2%} of positions, {kind} needs {least:.2%}: choose a finer quantisation")
    return faults


def _common(ours: Sequence[int], theirs: Sequence[int]) -> int:
    """Length of the common beginning."""
    return next((i for i, (a, b) in enumerate(zip(ours, theirs, strict=False)) if a != b), min(len(ours), len(theirs)))


def _first_difference(ours: Sequence[Any], theirs: Sequence[Any]) -> str:
    at = _common(ours, theirs)  # type: ignore[arg-type]
    low = max(0, at - 8)
    return f"at {at}: training {ours[low : at + 12]!r}, file {theirs[low : at + 12]!r}"
