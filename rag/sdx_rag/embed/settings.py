"""Which embedding model a user's libraries have, and which reranker."""

from pydantic import Field, model_validator

from sdx_rag.passages import Language
from sdx_serving.closed import Closed

_URL = r"^(https?://[^/\s]+(/\S*)?)?$"


class EmbedSettings(Closed):
    """minilm needs none of the others."""

    model: str = Field(default="minilm", min_length=1)
    """"minilm" (English, shipped as a package), "none", a folder with model.onnx and tokenizer.json, a GGUF file; with `url` the model's
    name there."""
    url: str = Field(default="", pattern=_URL)
    """Of an OpenAI-compatible endpoint, with the version: "http://127.0.0.1:8080/v1"."""
    key_env: str = ""
    """Environment variable that holds the endpoint's key."""
    dimensions: int | None = Field(default=None, ge=1)
    """What is expected; another number is refused. None: what the model gives."""
    languages: frozenset[Language] | None = Field(default=None, min_length=1)
    """That the model reads. None: English for minilm, English and Korean for any other."""
    query_prefix: str = ""
    """Put before a query, e.g. "query: " for the E5 models."""
    passage_prefix: str = ""
    max_tokens: int | None = Field(default=None, ge=16)
    """Longer texts are cut. None: what the model takes; 512 where an endpoint does not say."""
    threads: int = Field(default=0, ge=0, le=256)
    """Of the CPU, for a model in this process; 0: one for each core."""
    batch: int = Field(default=32, ge=1, le=2048)
    """Texts in one request to an endpoint."""
    timeout_s: float = Field(default=60.0, gt=0)
    """For one answer of an endpoint."""

    @model_validator(mode="after")
    def _endpoint_has_a_name(self) -> "EmbedSettings":
        if self.url and self.model in ("minilm", "none"):
            raise ValueError(f'url is {self.url}, model "{self.model}": set model to the name that the endpoint knows it by')
        return self


class RerankSettings(Closed):
    """By default passages keep the order of the search."""

    model: str = Field(default="none", min_length=1)
    """"none", or a folder with model.onnx (a cross-encoder) and tokenizer.json; with `url` the model's name there."""
    url: str = Field(default="", pattern=_URL)
    """Of an endpoint with /rerank, with the version, as llama-server, vLLM, Jina and Cohere have it: "http://127.0.0.1:8080/v1"."""
    key_env: str = ""
    threads: int = Field(default=0, ge=0, le=256)
    timeout_s: float = Field(default=30.0, gt=0)

    @model_validator(mode="after")
    def _endpoint_has_a_name(self) -> "RerankSettings":
        if self.url and self.model == "none":
            raise ValueError(f'url is {self.url}, model "none": set model to the name that the endpoint knows it by, or leave url out')
        return self
