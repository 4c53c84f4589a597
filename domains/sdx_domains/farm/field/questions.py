"""Questions that need no model: whether to irrigate, how the field is. Words to know them by: wording.yaml, `asked`."""

import re

from sdx_domains.contract import Language
from sdx_domains.farm.field.language import advise, describe, wording
from sdx_domains.farm.field.options import options
from sdx_domains.farm.field.picture import FieldPicture
from sdx_domains.farm.field.planner import best


def answered(picture: FieldPicture, text: str, language: Language) -> str | None:
    """Whether to irrigate: the planner's choice; how the field is: the description. None for a question about neither."""
    asked = wording()["asked"]
    if re.search(asked["irrigate"], text, re.IGNORECASE):
        offered = options(picture)
        return advise(picture, best(offered), language) if offered else describe(picture, language)
    return describe(picture, language) if re.search(asked["state"], text, re.IGNORECASE) else None
