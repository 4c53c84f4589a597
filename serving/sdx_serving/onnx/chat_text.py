"""The text side of a decoder's folder: tokenizer, chat template, end marks; without torch or transformers. Start at ChatText."""

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from jinja2 import TemplateError
from jinja2.sandbox import ImmutableSandboxedEnvironment
from tokenizers import Tokenizer
from tokenizers.decoders import DecodeStream

from sdx_serving.onnx.folder import ModelError, settings
from sdx_serving.openai_protocol import Refusal


def open_tokenizer(folder: Path) -> Tokenizer:
    """tokenizer.json without the padding and cutting that some carry. ModelError when it cannot be read."""
    path = folder / "tokenizer.json"
    try:
        tokenizer = Tokenizer.from_file(str(path))
    except Exception as error:  # its own class has no name in Python
        raise ModelError(f"{path} cannot be read ({error}): copy it from the model's own folder") from error
    tokenizer.no_padding()
    tokenizer.no_truncation()
    return tokenizer


class ChatText:
    """What a chat is in tokens, and what tokens are in text."""

    def __init__(self, folder: Path) -> None:
        self.tokenizer = open_tokenizer(folder)
        self.size = max(self.tokenizer.get_vocab(with_added_tokens=True).values()) + 1
        """Ids from here on are of no token."""
        told = settings(folder, "tokenizer_config.json")
        self._marks = {key: _text_of(told.get(key)) for key in ("bos_token", "eos_token")}
        self.ends = self._end_ids(folder)
        special = [token.content for token in self.tokenizer.get_added_tokens_decoder().values() if token.special]
        self._control = re.compile("|".join(map(re.escape, sorted(special, key=len, reverse=True)))) if special else None
        self._template = _template(folder, told)

    def chat_ids(self, messages: Sequence[Mapping[str, str]]) -> list[int]:
        """Tokens of the chat, as the model's own template writes it, up to where the answer begins.

        Text inside a message cannot end it: control tokens spelt out there are broken by a space.
        """
        safe = [{"role": message["role"], "content": self._harmless(message["content"])} for message in messages]
        return self.tokenizer.encode(self.render(safe), add_special_tokens=False).ids

    def render(self, messages: Sequence[Mapping[str, str]]) -> str:
        """Raises Refusal when the template does, e.g. on a role that it does not know, and where there is none."""
        if self._template is None:
            raise Refusal("this model has no chat template: ask /v1/completions with a prompt")
        try:
            return self._template.render(messages=messages, add_generation_prompt=True, **self._marks)
        except TemplateError as error:
            raise Refusal(f"messages: the model's chat template refuses them ({error})") from error

    def text_ids(self, text: str) -> list[int]:
        """Tokens of a text that is to be continued, with a beginning mark where the tokenizer puts one."""
        return self.tokenizer.encode(self._harmless(text)).ids

    def pieces(self, tokens: Iterable[int]) -> Iterator[str]:
        """Text of the tokens; a character spread over several tokens waits for its last byte."""
        stream, ids, said = DecodeStream(skip_special_tokens=True), [], ""
        for token in tokens:
            ids.append(token)
            if piece := stream.step(self.tokenizer, token):
                said += piece
                yield piece
        rest = self.tokenizer.decode(ids, skip_special_tokens=True)
        if rest.startswith(said) and len(rest) > len(said):
            yield rest[len(said) :]

    def _end_ids(self, folder: Path) -> frozenset[int]:
        """Of all files that name one: the generation's, the model's, the tokenizer's."""
        told = [settings(folder, name).get("eos_token_id") for name in ("generation_config.json", "config.json")]
        listed = [item for given in told for item in (given if isinstance(given, list) else [given])]
        ends = frozenset(item for item in [*listed, self.tokenizer.token_to_id(self._marks["eos_token"])] if isinstance(item, int))
        if not ends:
            raise ModelError(
                f"{folder}: no file names an end token (eos_token_id): answers would not end; add it to generation_config.json"
            )
        return ends

    def _harmless(self, text: str) -> str:
        return self._control.sub(lambda found: f"{found[0][0]} {found[0][1:]}", text) if self._control else text


def _template(folder: Path, told: Mapping[str, Any]) -> Any:
    """chat_template.jinja, else the one in tokenizer_config.json; None without either."""
    path = folder / "chat_template.jinja"
    text = path.read_text(encoding="utf-8") if path.is_file() else told.get("chat_template")
    if isinstance(text, list):  # several by name, as older folders have them
        text = next((item["template"] for item in text if item.get("name") == "default"), None)
    if not text:
        return None

    def refuse(message: str) -> None:
        raise TemplateError(message)

    rules = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True, extensions=["jinja2.ext.loopcontrols"])
    rules.filters["tojson"] = lambda value, indent=None: json.dumps(value, ensure_ascii=False, indent=indent)
    rules.globals["raise_exception"] = refuse
    try:
        return rules.from_string(text)
    except TemplateError as error:
        raise ModelError(f"{path}: the chat template cannot be read ({error})") from error


def _text_of(token: Any) -> str:
    return str(token.get("content", "")) if isinstance(token, dict) else str(token or "")
