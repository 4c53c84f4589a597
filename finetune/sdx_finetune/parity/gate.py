"""The release gate: does a file read, think and answer as the training stack does?

Compared are the chat template's text, the token ids, the end and beginning markers, metadata and weights (GGUF), the logits and
the first choice at every position, and the greedy continuation: with llama.cpp, ONNX Runtime, and vLLM where it is installed.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import torch
from transformers import PreTrainedTokenizerFast

from sdx_finetune.adapt.merge import open_model
from sdx_finetune.export.gguf_file import end_mark
from sdx_finetune.parity.metadata import file_faults
from sdx_finetune.parity.stacks import GgufModel, OnnxModel, Stack, vllm
from sdx_finetune.recipe import ParitySpec, Quantisation

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
    max_logit_difference: float | None
    """None: the stack (vLLM) tells no logits."""
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


class Trained:
    """The training stack: the model of a folder, with an adapter on it if given."""

    def __init__(self, folder: Path, adapter: Path | None = None) -> None:
        own = adapter if adapter and (adapter / "tokenizer.json").exists() else folder
        self.tokenizer = PreTrainedTokenizerFast.from_pretrained(own)
        self.model: Any = open_model(folder)
        if adapter:
            from peft import PeftModel

            self.model = PeftModel.from_pretrained(self.model, str(adapter)).eval()
        given = self.model.generation_config.eos_token_id
        self.eos = [given] if isinstance(given, int) else list(given or ())
        self.model.generation_config.eos_token_id = None  # both stacks run on past the end of the answer
        self.normaliser = self.tokenizer.backend_tokenizer.normalizer

    def plain(self, text: str) -> str:
        """In the tokenizer's normal form: llama.cpp has none of its own, so serving must be given such text."""
        return self.normaliser.normalize_str(text) if self.normaliser else text

    def render(self, chat: list[dict[str, str]]) -> str:
        return str(self.tokenizer.apply_chat_template(chat, tokenize=False, add_generation_prompt=True))

    def ids(self, text: str) -> list[int]:
        return self.tokenizer.backend_tokenizer.encode(text, add_special_tokens=False).ids

    def greedy(self, ids: list[int], count: int) -> tuple[list[int], np.ndarray]:
        """`ids` with `count` more, and the logits (all but the last, vocabulary) at each."""
        with torch.no_grad():
            whole = self.model.generate(input_ids=torch.tensor([ids]), max_new_tokens=count, do_sample=False, pad_token_id=0)[0].tolist()
            return whole, self.model(input_ids=torch.tensor([whole[:-1]])).logits[0].numpy()


def compare(
    folder: Path, path: Path, kind: Quantisation, chats: Sequence[list[dict[str, str]]], spec: ParitySpec,
    adapter: Path | None = None, base_file: Path | None = None,
) -> Report:  # fmt: skip
    """Hold `path` against the Hugging Face model in `folder` on prompts `chats` (turns up to the answer).

    Args:
        path: a GGUF file; a GGUF adapter (then `adapter` is the same in peft's form and `base_file` the GGUF file it is put on); a
            folder with model.onnx; a folder with safetensors, for vLLM.
        kind: of the weights; decides how much may differ.
    """
    trained = Trained(folder, adapter)
    prompts = [trained.plain(trained.render(chat)) for chat in chats]
    wanted = [trained.ids(prompt) for prompt in prompts]
    faults = _end_faults(trained)
    if path.suffix == ".gguf" and not _is_adapter(path):
        faults += file_faults(path, kind, trained.model, trained.tokenizer)
    with opened(path, max(map(len, wanted)) + spec.greedy_tokens + 8, base_file) as stack:
        text_faults = _text_faults(trained, stack, chats, prompts, wanted)
        faults += text_faults + _marker_faults(trained, stack)
        found = _run(trained, stack, wanted, spec.greedy_tokens)
    faults += _limit_faults(kind, found, spec)
    return Report(
        path.name, kind, found.positions,
        not any("template" in fault for fault in text_faults), not any("token ids" in fault for fault in text_faults),
        None if found.difference is None else round(found.difference, 6), round(found.top1, 5), round(found.greedy, 5), tuple(faults),
    )  # fmt: skip


@contextmanager
def opened(path: Path, context: int, base_file: Path | None = None) -> Iterator[Stack]:
    """The stack that serves `path`. ValueError when none does."""
    if path.suffix == ".gguf":
        lora = _is_adapter(path)
        if lora and base_file is None:
            raise ValueError(f"{path} is an adapter: give the GGUF file of the base that it is put on, and the adapter it was made from")
        with GgufModel(base_file if lora and base_file else path, context, lora=path if lora else None) as file:
            yield file
    elif (path / "model.onnx").is_file():
        yield OnnxModel(path)
    elif (path / "config.json").is_file():
        with vllm(path, context) as server:
            yield server
    else:
        raise ValueError(f"{path}: neither a .gguf file, nor a folder with model.onnx or config.json")


@dataclass(frozen=True, slots=True)
class _Found:
    positions: int
    difference: float | None
    top1: float
    greedy: float


def _run(trained: Trained, stack: Stack, wanted: list[list[int]], count: int) -> _Found:
    difference: float | None = 0.0
    same = positions = greedy_same = 0
    for ids in wanted:
        ours, reference = trained.greedy(ids, count)
        first, logits = stack.scores(ours[:-1])
        reference = reference[: len(first)]
        if logits is None or difference is None:
            difference = None
        else:
            width = min(reference.shape[1], logits.shape[1])
            difference = max(difference, float(np.nan_to_num(np.abs(reference[:, :width] - logits[:, :width]), nan=np.inf).max()))
        same += int((reference.argmax(1) == first).sum())
        positions += len(first)
        greedy_same += _common(ours[len(ids) :], stack.greedy(ids, count))
    return _Found(positions, difference, same / positions, greedy_same / (count * len(wanted)))


def _text_faults(
    trained: Trained, stack: Stack, chats: Sequence[list[dict[str, str]]], prompts: list[str], wanted: list[list[int]]
) -> list[str]:
    faults = []
    for chat, prompt in zip(chats, prompts, strict=True):
        theirs = stack.render(chat)
        if theirs is not None and (theirs := trained.plain(theirs)) != prompt:
            faults.append(f"chat template differs: {_first_difference(prompt, theirs)}")
            break
    for chat, prompt, ids in zip(chats, prompts, wanted, strict=True):
        if (found := stack.chat_ids(chat, prompt)) != ids:
            faults.append(f"token ids differ for {prompt[:60]!r}: {_first_difference(ids, found)}")
            return faults
    for text in map(trained.plain, HARD_TEXTS):
        ids = list(trained.tokenizer(text).input_ids)
        if (found := stack.tokens(text)) != ids:
            faults.append(f"token ids differ for {text[:60]!r}: {_first_difference(ids, found)}")
            break
    return faults


def _end_faults(trained: Trained) -> list[str]:
    """Does the model's own folder stop where its template ends an answer?"""
    mark = end_mark(trained.tokenizer)
    if mark is None or mark in trained.eos:
        return []
    said = f"eos_token_id is {trained.eos}, but the template ends an answer with {trained.tokenizer.convert_ids_to_tokens(mark)} ({mark})"
    return [f"generation_config.json: {said}: answers would not end; add it there"]


def _marker_faults(trained: Trained, stack: Stack) -> list[str]:
    """End markers, and that nothing is put before a text unasked."""
    faults = []
    tokenizer = trained.tokenizer
    mark = end_mark(tokenizer)
    if isinstance(stack, GgufModel) and (theirs := stack.llama.token_eos()) != tokenizer.eos_token_id:
        faults.append(
            f"EOS is token {theirs} in the file, {tokenizer.eos_token_id} ({tokenizer.eos_token}) in training: answers would not end"
        )
    elif mark is not None and not stack.ends(mark):
        faults.append(f"EOS: the file does not stop at token {mark} ({tokenizer.convert_ids_to_tokens(mark)}): answers would not end")
    if (extra := len(stack.tokens("x")) - len(tokenizer("x").input_ids)) != 0:
        faults.append(f"BOS: the file adds {extra} token(s) around a text that training did not: set tokenizer.ggml.add_bos_token alike")
    return faults


def _limit_faults(kind: Quantisation, found: _Found, spec: ParitySpec) -> list[str]:
    faults = []
    if kind in FLOAT and found.difference is not None and found.difference > spec.max_logit_difference:
        faults.append(
            f"logits differ by up to {found.difference:.4f}, allowed {spec.max_logit_difference}: weights, RoPE or norms are not the same"
        )
    if kind in FLOAT and found.greedy < 1.0:
        faults.append(f"greedy continuation agrees for {found.greedy:.1%} of tokens, must be all")
    least = spec.min_top1.get(kind, 0.0)
    if found.top1 < least:
        faults.append(f"first choice agrees at {found.top1:.2%} of positions, {kind} needs {least:.2%}: choose a finer quantisation")
    return faults


def _is_adapter(path: Path) -> bool:
    try:
        field = gguf.GGUFReader(path).fields.get("general.type")
    except (ValueError, IndexError, KeyError) as error:
        raise ValueError(f"{path} is no whole GGUF file: {error}") from error
    return field is not None and field.contents() == gguf.GGUFType.ADAPTER


def _common(ours: Sequence[int], theirs: Sequence[int]) -> int:
    """Length of the common beginning."""
    return next((i for i, (a, b) in enumerate(zip(ours, theirs, strict=False)) if a != b), min(len(ours), len(theirs)))


def _first_difference(ours: Sequence[Any], theirs: Sequence[Any]) -> str:
    at = _common(ours, theirs)  # type: ignore[arg-type]
    low = max(0, at - 8)
    return f"at {at}: training {ours[low : at + 12]!r}, file {theirs[low : at + 12]!r}"
