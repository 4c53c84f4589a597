import pytest

from sdx_rag.document import Unreadable
from sdx_rag.readers.encoding import decoded

KOREAN = "다른 선박을 우현 쪽에 두고 있는 선박이 진로를 피한다. 똠방각하 펲시콜라.\n"
WESTERN = "Größe und Gewicht der Geräte: 5 µm, 20 °C. Déjà vérifié à l'été, façade.\n" * 3


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32", "cp949"])
def test_korean_in_every_encoding(encoding: str) -> None:
    assert decoded(KOREAN.encode(encoding)) == KOREAN


def test_korean_in_euc_kr_and_western_text() -> None:
    plain = KOREAN.replace("똠방각하 펲시콜라", "")
    assert decoded(plain.encode("euc-kr")) == plain
    assert decoded(WESTERN.encode("latin-1")) == WESTERN
    assert decoded(WESTERN.encode("cp1252")) == WESTERN


@pytest.mark.parametrize("data", [bytes(range(256)), b"text\x00more", b"\x01\x02\x03\x04" * 50])
def test_what_is_not_text_is_refused(data: bytes) -> None:
    with pytest.raises(Unreadable, match="binary"):
        decoded(data)


def test_a_wrong_byte_order_mark_is_told() -> None:
    with pytest.raises(Unreadable, match="utf-16 but byte"):
        decoded(b"\xff\xfea\x00\x00\xd8")
