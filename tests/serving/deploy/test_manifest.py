"""The manifest: what may stand in it, and what a path may be."""

import json
import unicodedata
from pathlib import Path, PurePosixPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sdx_serving.deploy.manifest import BundleError, Manifest, inside, read


@pytest.mark.parametrize(
    "path",
    ["", "/etc/passwd", "../x", "a/../../x", "a//b", "a/", "./a", "a\\b", "C:\\x", "a\nb", "a\x00b", "\u202egpj.exe", "\ud800", "é" * 128],
)
def test_paths_that_leave_or_hide_are_refused(path: str) -> None:
    with pytest.raises(ValueError, match="inside the folder|cannot be shown|longer than"):
        inside(path)


@pytest.mark.parametrize(
    "path", ["model/x.gguf", "model/a name with blanks.gguf", "모델/바다 1호.gguf", "a/..b", "-rf", "$(reboot)", "'\"`"]
)
def test_odd_but_harmless_paths_stand(path: str) -> None:
    assert inside(path) == path


@given(st.text())
def test_whatever_is_accepted_stays_inside(path: str) -> None:
    try:
        inside(path)
    except ValueError:
        return
    root = PurePosixPath("/srv/bundle")
    assert (root / path).is_relative_to(root) and ".." not in PurePosixPath(path).parts
    assert str(PurePosixPath(path)) == path and path.encode().decode().isprintable()


def manifest(**changes: object) -> dict[str, object]:
    file = {"path": "model/m.gguf", "size_bytes": 4, "sha256": "0" * 64}
    return {
        "id": "m-1", "name": "m", "target": "here", "engine": "llama.cpp", "context_tokens": 2048, "port": 8081, "gateway_port": 8080,
        "device": "this",
        "needs_bytes": 1, "health": {"start_s": 60.0}, "versions": {}, "commit": "unknown", "created": "2026-01-02T03:04:05+00:00",
        "model": {"name": "m", "path": "model/m.gguf", "sha256": "0" * 64, "format": "gguf"}, "files": [file],
    } | changes  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"surprise": 1}, "surprise"),
        ({"port": 70000}, "port"),
        ({"name": "Not A Slug"}, "name"),
        ({"files": []}, "'model/m.gguf' is not among the files"),
        ({"files": [{"path": "/abs", "size_bytes": 1, "sha256": "0" * 64}]}, "files.0.path"),
        ({"files": [{"path": path, "size_bytes": 1, "sha256": "0" * 64} for path in ("model/m.gguf", "Model/M.gguf")]}, "twice"),
        ({"files": [{"path": path, "size_bytes": 1, "sha256": "0" * 64} for path in ("model/m.gguf", "manifest.json")]}, "twice"),
        ({"model": {"name": "m", "path": "../m.gguf", "sha256": "0" * 64, "format": "gguf"}}, "model.path"),
    ],
)
def test_a_wrong_field_is_named(changes: dict[str, object], complaint: str, tmp_path: Path) -> None:
    (tmp_path / "manifest.json").write_text(json.dumps(manifest(**changes)))
    with pytest.raises(BundleError, match=complaint) as caught:
        read(tmp_path)
    assert str(tmp_path / "manifest.json") in str(caught.value)


def test_what_is_no_bundle_is_said(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match=r"is not a bundle: it has no manifest\.json"):
        read(tmp_path)
    (tmp_path / "manifest.json").write_bytes(b"\xff\x00 not json")
    with pytest.raises(BundleError, match=r"manifest\.json"):
        read(tmp_path)


def test_names_spelt_two_ways_count_as_one() -> None:
    names = [unicodedata.normalize(form, "model/é.gguf") for form in ("NFC", "NFD")]
    files = [{"path": path, "size_bytes": 1, "sha256": "0" * 64} for path in names]
    with pytest.raises(ValueError, match="twice"):
        Manifest.model_validate(manifest(files=files, model={"name": "m", "path": names[0], "sha256": "0" * 64, "format": "gguf"}))
