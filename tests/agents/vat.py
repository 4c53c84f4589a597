"""A whole domain in sixty lines: a vat whose level may be set, but not above what the picture says it holds."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from sdx_domains.contract import Language, Option, Order, Pace, Passage, Picture, Plant, Proposal, Verdict


class VatPicture(Picture):
    domain: str = "vat"
    holds_m: float = 5.0


class Vat:
    """Domain of one set-point, level_m; levels are 1 (A), 4 (B) and 9 (C)."""

    name = "vat"
    pace = Pace()

    def perceiver(self) -> Any:
        raise NotImplementedError("pictures are given")

    def options(self, picture: VatPicture) -> Sequence[Option]:
        levels = {"A": 1.0, "B": 4.0, "C": 9.0}
        return [Option(id=name, label=f"level {level}", setpoints={"level_m": level}) for name, level in levels.items()]

    def recall(self, picture: VatPicture) -> Sequence[Passage]:
        return [Passage(id="V1", title="Levels", text="Never overfill.", source="vat rules")]

    def looks_for(self, picture: VatPicture, language: Language) -> str:
        return "vat overflow" if picture.holds_m < 5.0 else ""

    def messages(
        self, picture: VatPicture, options: Sequence[Option], passages: Sequence[Passage], language: Language
    ) -> list[dict[str, str]]:
        return [{"role": "user", "content": f"holds {picture.holds_m}; {[option.id for option in options]}; {language}"}]

    def answer_schema(self, picture: VatPicture, options: Sequence[Option]) -> dict[str, Any]:
        return {"type": "object", "properties": {"option": {"enum": [option.id for option in options]}}, "required": ["option"]}

    def read_answer(self, text: str, picture: VatPicture, options: Sequence[Option]) -> Proposal:
        value = json.loads(text)
        return Proposal(option_id=value["option"], reason=value.get("reason", ""), confidence=value.get("confidence", 1.0))

    def assure(self, picture: VatPicture, options: Sequence[Option], proposal: Proposal) -> Verdict:
        chosen = next((option for option in options if option.id == proposal.option_id), None)
        if chosen is None:
            return Verdict(kind="reject", picture_id=picture.id, reasons=("no option chosen",))
        margin = picture.holds_m - chosen.setpoints["level_m"]
        if margin < 0:
            return Verdict(kind="reject", picture_id=picture.id, reasons=("it would overflow",), margins={"level_m": margin})
        order = self._order(picture, chosen.setpoints["level_m"], "model")
        return Verdict(kind="accept", picture_id=picture.id, margins={"level_m": margin}, order=order)

    def check(self, picture: VatPicture, order: Order) -> Verdict:
        margin = picture.holds_m - order.setpoints["level_m"]
        return Verdict(
            kind="accept" if margin >= 0 else "reject", picture_id=picture.id, reasons=("overflow",), margins={"level_m": margin}
        )

    def planned(self, picture: VatPicture, options: Sequence[Option]) -> Proposal:
        return Proposal(option_id="A", source="fallback")

    def fallback(self, picture: VatPicture, options: Sequence[Option] | None) -> Verdict:
        return Verdict(kind="fallback", picture_id=picture.id, reasons=("drain",), order=self._order(picture, 0.5, "fallback"))

    def outcome(self, then: VatPicture, later: Sequence[VatPicture]) -> dict[str, float]:
        return {"held_m": min(picture.holds_m for picture in later)}

    def describe(self, picture: VatPicture, language: Language) -> str:
        return f"It holds {picture.holds_m} m."

    def answered(self, picture: VatPicture, text: str, language: Language) -> None:
        return None

    def bounds(self) -> dict[str, tuple[float, float]]:
        return {}

    def told(self, picture: VatPicture, text: str, language: Language, whole: bool) -> str:
        return text

    def doubts(self, picture: VatPicture, text: str) -> list[str]:
        return []

    def question(self, picture: VatPicture, text: str, language: Language) -> list[dict[str, str]]:
        return [{"role": "user", "content": text}]

    def load_picture(self, payload: Mapping[str, Any]) -> VatPicture:
        return VatPicture.model_validate(payload)

    def load_options(self, payload: Sequence[Mapping[str, Any]]) -> Sequence[Option]:
        return [Option.model_validate(item) for item in payload]

    def plant(self, scenario: str, seed: int) -> Plant:
        raise KeyError(f"no scenario {scenario!r}; known: none")

    def _order(self, picture: VatPicture, level_m: float, source: Any) -> Order:
        return Order(
            domain="vat", setpoints={"level_m": level_m}, issued_s=picture.t_s, valid_for_s=90.0, source=source, picture_id=picture.id
        )
