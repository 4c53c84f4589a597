"""A query to passages: by words and by meaning, fused by reciprocal rank, best first. Start at Search.found()."""

from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Literal

from sdx_rag.borders import Embedder, Reranker
from sdx_rag.catalogue import Catalogue, Held
from sdx_rag.dense import Dense
from sdx_rag.glossary import Glossary
from sdx_rag.lexical import Lexical
from sdx_rag.passages import Found, Language
from sdx_rag.words import address_tokens, language_of, query_tokens

Side = Literal["hybrid", "dense", "lexical"]
Hits = list[tuple[int, float]]
Passage = tuple[str, str]
"""Document and address, or the chunk's id where it has none of its own."""
READ, TRANSLATED = 2.0, 0.25
"""What the dense side counts, where the lexical side counts 1: with a model that reads the query, and with one that gets only the
glossary's words for it. Chosen on gold/dev.jsonl."""
_WIDER = 8
_FEW = 5000
"""So many chunks of the documents asked for are looked at alone, and not all that are found."""
_NAMED = 3
"""Passages of a provision that the query names come first, so many: a rule of twelve paragraphs is not the whole answer."""
_RERANKED = 4
"""Candidates that a reranker reads for each passage that is wanted."""


class Search:
    """What a search needs of an open library. `dense` and `embedder` are None where only words are searched."""

    def __init__(self, catalogue: Catalogue, words: Lexical, dense: Dense | None, embedder: Embedder | None, glossary: Glossary) -> None:
        self._catalogue, self._words, self._dense, self._embedder, self._glossary = catalogue, words, dense, embedder, glossary

    def found(
        self,
        query: str,
        count: int,
        candidates: int,
        rrf_k: int,
        language: Language | None = None,
        documents: Collection[str] | None = None,
        side: Side = "hybrid",
        reranker: Reranker | None = None,
    ) -> list[Found]:
        """At most `count`, fewer only where the library has no more that fit."""
        narrow = language is not None or documents is not None
        ids = self._catalogue.live_ids(documents) if documents is not None else None
        wanted = count * _RERANKED if reranker else count
        many = max(candidates, wanted)
        lexical = self._by_words(query, many, ids, language) if side != "dense" else []
        dense = self._by_meaning(query, many, ids, language) if side != "lexical" else []
        held = self._catalogue.live([*dict(lexical), *dict(dense)], language, documents if narrow else None)
        passage = passages(held)
        score = fused(((lexical, 1.0), (dense, READ if self._reads(query) else TRANSLATED)), rrf_k, passage)
        for id in _named(query, held, passage, score) if side != "dense" else ():
            score[id] += 1.0
        best = _once(sorted(held, key=lambda id: (-score[id], held[id].chunk.language != language_of(query), id)), passage)[:wanted]
        similarity, bm25 = _by_passage(dense, passage), _by_passage(lexical, passage)
        if reranker and best:
            best, score = _reranked(reranker, query, [held[id] for id in best])
        return [_found(held[id], score[id], similarity.get(passage[id]), bm25.get(passage[id])) for id in best[:count]]

    def _reads(self, query: str) -> bool:
        return self._embedder is not None and language_of(query) in self._embedder.languages

    def _by_words(self, query: str, count: int, ids: set[int] | None, language: Language | None) -> Hits:
        weights = self._glossary.expanded(query)
        few = ids if ids is not None and len(ids) <= _FEW else None
        return self._enough(lambda many: self._words.search(weights, many, few), count, ids, language)

    def _by_meaning(self, query: str, count: int, ids: set[int] | None, language: Language | None) -> Hits:
        dense, embedder = self._dense, self._embedder
        if dense is None or embedder is None or (language and language not in embedder.languages):
            return []
        asked = query if self._reads(query) else self._glossary.translated(query)
        if not asked or language_of(asked) not in embedder.languages:
            return []
        vector = embedder.query(asked)
        if ids is not None and len(ids) <= _FEW:
            return self._enough(lambda many: dense.among(ids, vector, many), count, ids, language)
        return self._enough(lambda many: dense.nearest(vector, many), count, ids, language)

    def _enough(self, ask: Callable[[int], Hits], count: int, ids: set[int] | None, language: Language | None) -> Hits:
        """Hits that are live and fit, asked for more and more of them until there are `count` or no more."""
        many = count
        while True:
            hits = ask(many)
            live = self._catalogue.fitting([id for id, _ in hits if ids is None or id in ids], language)
            fit = [hit for hit in hits if hit[0] in live][:count]
            if len(fit) == count or len(hits) < many:
                return fit
            many *= _WIDER


def passages(held: Mapping[int, Held]) -> dict[int, Passage]:
    """Which passage each chunk is: what stands in a document in two languages under one address is one passage."""
    often = Counter((one.document, one.chunk.address, one.chunk.language) for one in held.values())

    def of(id: int, one: Held) -> Passage:
        alone = one.chunk.address and often[one.document, one.chunk.address, one.chunk.language] == 1
        return (one.document, one.chunk.address if alone else f"#{id}")

    return {id: of(id, one) for id, one in held.items()}


def fused(sides: Sequence[tuple[Hits, float]], k: int, passage: Mapping[int, Passage]) -> dict[int, float]:
    """Reciprocal rank fusion with weights, scaled so that the first of every side has 1 (Cormack, Clarke, Büttcher 2009).

    Both languages of a passage share a rank on each side and a score, so that a Korean hit and an English one bear each other out.
    """
    score = dict.fromkeys(passage.values(), 0.0)
    asked = [(hits, weight) for hits, weight in sides if hits]
    for hits, weight in asked:
        ranked = dict.fromkeys(passage[id] for id, _ in hits if id in passage)
        for rank, one in enumerate(ranked, start=1):
            score[one] += weight * (k + 1) / (k + rank) / sum(weight for _, weight in asked)
    return {id: score[one] for id, one in passage.items()}


def _named(query: str, held: Mapping[int, Held], passage: Mapping[int, Passage], score: Mapping[int, float]) -> list[int]:
    """Chunks of the provision that the query names ("Rule 17(a)"), or of the nearest around it: they come first, at most _NAMED passages."""
    asked = set(query_tokens(query))
    near = {id: len(asked.intersection(address_tokens(one.chunk.address))) for id, one in held.items() if one.chunk.address}
    most = max(near.values(), default=0)
    named = sorted((id for id, count in near.items() if most and count == most), key=lambda id: -score[id])
    first = list(dict.fromkeys(passage[id] for id in named))[:_NAMED]
    return [id for id in named if passage[id] in first]


def _once(ids: Sequence[int], passage: Mapping[int, Passage]) -> list[int]:
    """The first chunk of each passage."""
    first: dict[Passage, int] = {}
    for id in ids:
        first.setdefault(passage[id], id)
    return list(first.values())


def _by_passage(hits: Hits, passage: Mapping[int, Passage]) -> dict[Passage, float]:
    best: dict[Passage, float] = {}
    for id, score in hits:
        if id in passage:
            best[passage[id]] = max(score, best.get(passage[id], score))
    return best


def _reranked(reranker: Reranker, query: str, held: Sequence[Held]) -> tuple[list[int], dict[int, float]]:
    """Scores of any scale, moved so that none is negative."""
    raw = reranker.scores(query, [one.chunk.text for one in held])
    least = min(0.0, *raw)
    score = {one.id: float(value - least) for one, value in zip(held, raw, strict=True)}
    return sorted(score, key=lambda id: -score[id]), score


def _found(held: Held, score: float, similarity: float | None, lexical: float | None) -> Found:
    chunk = held.chunk
    return Found(
        id=held.id, document=held.document, title=held.title, headings=chunk.headings, address=chunk.address, text=chunk.text,
        language=chunk.language, page=chunk.place.page, box=chunk.place.box, source=chunk.source, score=score, similarity=similarity, lexical=lexical,
    )  # fmt: skip
