"""How near an answer comes to the expected one, for any task: equality, words, character n-grams, fields of JSON."""

import json
import re
import unicodedata
from collections import Counter
from collections.abc import Sequence
from typing import Any

ORDERS, BETA = 6, 2.0
"""Of chrF: n-grams of one to six characters, recall counts twice as much as precision (Popovic 2015, aclanthology.org/W15-3049)."""
_TOKEN = re.compile(r"[\uac00-\ud7a3]|[^\W\uac00-\ud7a3]+")


def score(row: Any, answer: str) -> dict[str, bool | float | None]:
    """Metrics of one answer against the row's own; `row` has `.messages` (with content).

    exact, token_f1 and chrf always; valid_json, json_exact, json_fields and field_<name> where the expected answer is
    a JSON object or list.
    """
    expected: str = row.messages[-1].content
    metrics: dict[str, bool | float | None] = {
        "exact": _plain(answer) == _plain(expected),
        "token_f1": token_f1(answer, expected),
        "chrf": chrf(answer, expected),
    }
    wanted = _json(expected)
    return metrics | _json_metrics(_json(answer), wanted) if isinstance(wanted, (dict, list)) else metrics


def tokens(text: str) -> list[str]:
    """Words in lower case; a Hangul syllable is a token of its own.

    Particles are written onto Korean words, so that whole words would hardly ever be equal: KorQuAD counts characters for
    the same reason (arXiv 1909.07005, section 3).
    """
    return _TOKEN.findall(_plain(text).casefold())


def token_f1(answer: str, expected: str) -> float:
    """Harmonic mean of precision and recall over tokens as a bag (SQuAD, arXiv 1606.05250), 0..1."""
    given, wanted = Counter(tokens(answer)), Counter(tokens(expected))
    return _f(given, wanted, 1.0) if given and wanted else float(given == wanted)


def chrf(answer: str, expected: str) -> float:
    """Mean F over character n-grams, white space left out, 0..1; orders that one of the texts is too short for do not count."""
    given, wanted = ("".join(_plain(text).split()) for text in (answer, expected))
    orders = range(1, 1 + min(ORDERS, len(given), len(wanted)))
    if not orders:
        return float(given == wanted)
    shares = [_shares(_ngrams(given, n), _ngrams(wanted, n)) for n in orders]
    precision, recall = (sum(values) / len(orders) for values in zip(*shares, strict=True))
    return _f_of(precision, recall, BETA)


def _plain(text: str) -> str:
    return unicodedata.normalize("NFC", text).strip()


def _ngrams(text: str, n: int) -> Counter[str]:
    return Counter(text[i : i + n] for i in range(len(text) - n + 1))


def _shares(given: Counter[str], wanted: Counter[str]) -> tuple[float, float]:
    """Precision and recall of bags, neither empty."""
    common = (given & wanted).total()
    return common / given.total(), common / wanted.total()


def _f(given: Counter[str], wanted: Counter[str], beta: float) -> float:
    return _f_of(*_shares(given, wanted), beta)


def _f_of(precision: float, recall: float, beta: float) -> float:
    below = beta**2 * precision + recall
    return (1 + beta**2) * precision * recall / below if below else 0.0


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return None


def _json_metrics(given: Any, wanted: dict[str, Any] | list[Any]) -> dict[str, bool | float | None]:
    expected = dict(_leaves(wanted))
    found = dict(_leaves(given)) if given is not None else {}
    right = [path in found and _same(found[path], value) for path, value in expected.items()]
    fields = wanted if isinstance(wanted, dict) else {}
    held = given if isinstance(given, dict) else {}
    return {
        "valid_json": given is not None,
        "json_exact": given is not None and _same(given, wanted),
        "json_fields": sum(right) / len(right),
        **{f"field_{name}": name in held and _same(held[name], value) for name, value in fields.items()},
    }


def _leaves(value: Any, path: Sequence[str | int] = ()) -> list[tuple[tuple[str | int, ...], Any]]:
    """(path, value) of everything in JSON that is no filled object or list."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    if not isinstance(value, (dict, list)) or not value:
        return [(tuple(path), value)]
    return [leaf for key, item in items for leaf in _leaves(item, (*path, key))]


def _same(given: Any, wanted: Any) -> bool:
    """Equal as JSON: true is not 1, but 1.0 is."""
    return json.dumps(_floats(given), sort_keys=True) == json.dumps(_floats(wanted), sort_keys=True)


def _floats(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _floats(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_floats(item) for item in value]
    return float(value) if isinstance(value, int) and not isinstance(value, bool) else value
