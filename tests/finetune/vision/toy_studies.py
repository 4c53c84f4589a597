"""Rows about a study in the form of the domain's, few words: one judging row and no question."""

import json
from collections.abc import Iterator, Sequence
from typing import Any


def rows_of(picture: Any, true: Sequence[str], seed: int) -> Iterator[dict[str, Any]]:
    told = {finding.id: "yes" if finding.id in true else "no" for finding in picture.findings}
    asked = "\n".join([f"<ct:{picture.saw.handle}>", *(f"{finding.id} {finding.label}" for finding in picture.findings)])
    yield {"messages": [{"role": "user", "content": asked}, {"role": "assistant", "content": json.dumps({"findings": told})}]}
