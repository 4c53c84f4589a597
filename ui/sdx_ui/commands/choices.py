"""Words that options may take. Enumerations, so that the command line lists them and refuses others."""

from enum import StrEnum


class Tongue(StrEnum):
    """Language of descriptions, advice and reasons."""

    en = "en"
    ko = "ko"


class Ablation(StrEnum):
    """What a benchmark leaves out."""

    none = "none"
    model = "model"
    guard = "guard"
    agent = "agent"


class Approval(StrEnum):
    """Who lets a verified order out."""

    auto = "auto"
    ask = "ask"
