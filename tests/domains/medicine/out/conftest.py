"""Fixtures of results to write and of their validation: see made_up.py and valid.py."""

import importlib.util
from pathlib import Path

import pytest


def _module(name: str):
    spec = importlib.util.spec_from_file_location(f"medicine_out_{name}", Path(__file__).parent / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def made_up():
    """The module made_up.py, which tests cannot import by themselves."""
    pytest.importorskip("pydicom")
    return _module("made_up")


@pytest.fixture(scope="session")
def errors():
    """errors(path): what dciodvfy finds wrong with a DICOM file."""
    return _module("valid").errors


@pytest.fixture(scope="session")
def results(made_up):
    """results(status, ...) of the made-up study; signed where the status asks for it."""
    from sdx_domains.medicine.language.render import render
    from sdx_domains.medicine.out.results import Results, sign

    def make(status="draft", addenda=(), said=None, made=made_up.MADE):
        picture = made_up.picture()
        statements = made_up.statements(picture) if said is None else said
        final = status in ("signed", "addendum")
        signer = "PARK^JIWON"
        reports = {language: render(picture, statements, language, status, signer if final else None) for language in ("en", "ko")}
        signature = sign(signer, "Test Hospital", made, statements, reports, addenda) if final else None
        return Results(
            picture=picture, statements=statements, reports=reports, status=status, made=made, signature=signature, addenda=addenda
        )

    return make
