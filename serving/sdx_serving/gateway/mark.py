"""Who answered, written on every answer: headers, and an `sdx` object in its body or last event."""

from dataclasses import asdict, dataclass

import orjson


@dataclass(frozen=True, slots=True)
class Mark:
    """Of one answer."""

    answered_by: str
    degraded: bool
    """Another stood before it in the route."""
    reason: str
    """Why those before it did not answer."""
    model_sha256: str
    route: str

    def headers(self) -> dict[str, str]:
        return {"x-sdx-answered-by": self.answered_by, "x-sdx-degraded": str(self.degraded).lower(), "x-sdx-route": self.route}

    def into(self, body: bytes) -> bytes:
        """A JSON object with the mark in it; the rest stays byte for byte."""
        return body.rstrip()[:-1] + b',"sdx":' + orjson.dumps(asdict(self)) + b"}"
