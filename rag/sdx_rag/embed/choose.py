"""The embedding model and the reranker that the settings name. Start at open_embedder()."""

from collections.abc import Callable
from pathlib import Path

from sdx_rag.borders import Embedder, EmbeddingError, Reranker
from sdx_rag.embed.embedder import Encoder, TextEmbedder
from sdx_rag.embed.settings import EmbedSettings, RerankSettings
from sdx_rag.passages import Language

_ENGLISH: frozenset[Language] = frozenset({"en"})
_BOTH: frozenset[Language] = frozenset({"en", "ko"})
_ENGINE = 'type `pip install -e ".[rag]"`, or set embed.model to none in rag.yaml to search by words alone'


def open_embedder(settings: EmbedSettings, say: Callable[[str], None] = lambda line: None) -> Embedder | None:
    """None where no model is wanted. `say` is told what takes long: the default model is converted on its first use.

    Raises:
        EmbeddingError: the model cannot be used; the message says why and what to do. Its cause is a ModuleNotFoundError where a
            package is not installed.
    """
    if settings.model == "none":
        return None
    try:
        encoder = _encoder(settings, say)
    except ModuleNotFoundError as error:
        raise EmbeddingError(f"{settings.model}: the package {error.name} is not installed: {_ENGINE}") from error
    if settings.dimensions not in (None, encoder.length):
        raise EmbeddingError(f"{encoder.name} gives {encoder.length} dimensions, embed.dimensions is {settings.dimensions}: leave it out")
    languages = settings.languages or (_ENGLISH if settings.model == "minilm" else _BOTH)
    return TextEmbedder(encoder, languages, settings.query_prefix, settings.passage_prefix)


def open_reranker(settings: RerankSettings) -> Reranker | None:
    """None where no reranker is wanted. Raises EmbeddingError as open_embedder() does."""
    if settings.model == "none":
        return None
    try:
        from sdx_rag.embed import rerank

        if settings.url:
            return rerank.EndpointReranker(settings)
        return rerank.OnnxReranker(Path(settings.model).expanduser(), settings.threads)
    except ModuleNotFoundError as error:
        raise EmbeddingError(f'rerank: the package {error.name} is not installed: type `pip install -e ".[rag]"`') from error


def _encoder(settings: EmbedSettings, say: Callable[[str], None]) -> Encoder:
    """Each engine is imported where it is wanted."""
    if settings.url:
        from sdx_rag.embed.endpoint import EndpointTexts

        return EndpointTexts(settings)
    path = Path(settings.model).expanduser()
    if path.suffix == ".gguf":
        from sdx_rag.embed.llama import GgufTexts
        from sdx_rag.embed.texts import cores

        return GgufTexts(path, settings.threads or cores(), settings.max_tokens)
    from sdx_rag.embed.texts import shared_texts

    if settings.model != "minilm":
        return shared_texts(path, settings.threads, settings.max_tokens)
    from sdx_rag.embed.minilm import NAME, cache_folder, minilm_folder

    folder = minilm_folder(cache_folder(), say)
    try:
        return shared_texts(folder, settings.threads, settings.max_tokens, NAME)
    except EmbeddingError as error:
        raise EmbeddingError(f"{error}; delete {folder}, it is made anew") from error
