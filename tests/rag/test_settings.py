"""rag.yaml, and what it says when it is wrong."""

from pathlib import Path

import pytest

from sdx_rag.settings import ChromaServer, RagSettings


def test_without_a_file_all_has_a_default(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SDX_RAG", str(tmp_path))
    settings = RagSettings.read()
    assert (settings.home, settings.store, settings.embed.model, settings.rrf_k) == (tmp_path, "chroma", "minilm", 60)
    assert settings.folder("farm") == tmp_path / "rag/farm"


def test_a_file_is_read(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SDX_RAG", str(tmp_path))
    (tmp_path / "rag.yaml").write_text("store: {chroma_url: http://127.0.0.1:8000}\nembed: {model: none}\ncandidates: 20\n")
    settings = RagSettings.read()
    assert settings.store == ChromaServer(chroma_url="http://127.0.0.1:8000") and settings.candidates == 20


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("candidate: 20", "candidate: Extra inputs are not permitted"),
        ("candidates: 1", r"candidates: .*greater than or equal to 5 \(given: 1\)"),
        ("store: {chroma_url: here}", r"chroma_url"),
        ("store: {langchain: nothing}", r"langchain"),
        ("a: [", "not YAML"),
    ],
)
def test_a_wrong_file_is_told_with_file_field_and_value(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, text: str, told: str) -> None:
    monkeypatch.setenv("SDX_RAG", str(tmp_path))
    (tmp_path / "rag.yaml").write_text(text)
    with pytest.raises(ValueError, match=rf"rag.yaml: .*{told}"):
        RagSettings.read()
