"""A reading room's store with one draft in it."""

import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parent))  # tests import what stands beside them

import chest

from sdx_agents.reading.case import Case, Made
from sdx_agents.reading.cases import CaseStore
from sdx_domains.medicine.language.render import render

MADE = Made(model="sdx-test", model_sha256="a" * 64, prompt_sha256="b" * 64, answer_sha256="c" * 64)


@pytest.fixture
def store(tmp_path: Path) -> CaseStore:
    return CaseStore(tmp_path / "room", render)


@pytest.fixture
def case(store: CaseStore) -> Case:
    return store.add(*chest.study(), MADE, patient="p1", day=100)
