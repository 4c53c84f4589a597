"""The vault: the same pseudonyms always, the way back for its owner alone, nothing lost when the process is killed."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("pydicom")

from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom import Dataset
from pydicom.uid import UID

from sdx_domains.medicine.privacy.vault import SHIFT_DAYS, OpenVault, Vault

STUDY, SERIES = "1.2.410.200067.5.1", "1.2.410.200067.5.1.7"


def header() -> Dataset:
    made = Dataset()
    made.SpecificCharacterSet = "ISO_IR 192"
    made.PatientName, made.PatientID = "Hong^Gildong=洪^吉洞=홍^길동", "00123456"
    made.StudyInstanceUID, made.SeriesInstanceUID, made.SOPInstanceUID = STUDY, SERIES, f"{SERIES}.1"
    made.PixelData = bytes(8)
    made.add_new(0x00091010, "OB", bytes(100_000))
    return made


def test_what_was_remembered_comes_back_and_repr_says_nothing(tmp_path: Path) -> None:
    vault = Vault(tmp_path / "vault")
    study = vault.remember(header(), [f"{SERIES}.{number}" for number in range(1, 4)])
    assert study == vault.pseudonym(STUDY)
    found = Vault(tmp_path / "vault").recall(study)
    assert found.header.PatientName == header().PatientName and found.header.PatientID == "00123456"
    assert "PixelData" not in found.header and 0x00091010 not in found.header
    assert found.real[vault.pseudonym(f"{SERIES}.2")] == f"{SERIES}.2" == vault.real(vault.pseudonym(f"{SERIES}.2"))
    assert STUDY not in repr(found) + repr(vault) and "Hong" not in repr(found)
    with pytest.raises(KeyError, match="remembers no study"):
        vault.recall("2.25.1")
    with pytest.raises(KeyError, match="knows no UID"):
        vault.real("2.25.1")
    with pytest.raises(ValueError, match="no StudyInstanceUID"):
        vault.remember(Dataset())


def test_the_last_series_is_recalled_unless_one_is_named(tmp_path: Path) -> None:
    vault, other = Vault(tmp_path / "vault"), header()
    other.SeriesInstanceUID, other.SeriesDescription = f"{SERIES}9", "second"
    study = vault.remember(header())
    vault.remember(other)
    assert vault.recall(study).header.SeriesDescription == "second"
    assert "SeriesDescription" not in vault.recall(study, vault.pseudonym(SERIES)).header


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> tuple[Vault, Vault]:
    return Vault(tmp_path_factory.mktemp("one")), Vault(tmp_path_factory.mktemp("two"))


@settings(deadline=None, max_examples=20)
@given(numbers=st.lists(st.integers(1, 10**30), min_size=2, max_size=20, unique=True))
def test_pseudonyms_are_valid_stable_and_never_shared(two: tuple[Vault, Vault], numbers: list[int]) -> None:
    (vault, other), uids = two, [f"1.2.410.{number}" for number in numbers]
    made = [vault.pseudonym(uid) for uid in uids]
    assert len(set(made)) == len(uids) and made == [vault.pseudonym(uid) for uid in uids]
    assert all(UID(each).is_valid and each.startswith("2.25.") for each in made)
    assert not set(made) & {other.pseudonym(uid) for uid in uids}, "each vault has its own salt"
    assert all(-SHIFT_DAYS[1] <= vault.shift_days(uid) <= -SHIFT_DAYS[0] for uid in uids)


def test_only_its_owner_may_look_into_it(tmp_path: Path) -> None:
    folder = tmp_path / "vault"
    Vault(folder)
    assert folder.stat().st_mode & 0o777 == 0o700 and (folder / "vault.sqlite").stat().st_mode & 0o777 == 0o600
    (folder / "vault.sqlite").chmod(0o640)
    with pytest.raises(OpenVault, match="has mode 640.*chmod 600"):
        Vault(folder)
    (folder / "vault.sqlite").chmod(0o600)
    folder.chmod(0o755)
    with pytest.raises(OpenVault, match="has mode 755.*chmod 700"):
        Vault(folder)
    folder.chmod(0o700)
    (tmp_path / "link").symlink_to(folder)
    with pytest.raises(OpenVault, match="is a link"):
        Vault(tmp_path / "link")


def test_a_damaged_vault_is_told(tmp_path: Path) -> None:
    folder = tmp_path / "vault"
    Vault(folder)
    (folder / "vault.sqlite").write_bytes(b"this is no database" * 100)
    with pytest.raises(ValueError, match="restore it from your backup"):
        Vault(folder)


def test_it_survives_kill_9_with_all_that_was_confirmed(tmp_path: Path) -> None:
    writing = f"""
import itertools, sys
from pathlib import Path
from pydicom import Dataset
from sdx_domains.medicine.privacy.vault import Vault
vault = Vault(Path({str(tmp_path / "vault")!r}))
for number in itertools.count(1):
    made = Dataset()
    made.StudyInstanceUID, made.SeriesInstanceUID = f"1.2.{{number}}", f"1.2.{{number}}.1"
    print(vault.remember(made, [f"1.2.{{number}}.1.{{slice}}" for slice in range(50)]), flush=True)
"""
    process = subprocess.Popen([sys.executable, "-c", writing], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    confirmed = [process.stdout.readline().strip() for _ in range(5)]
    process.kill()
    confirmed += process.stdout.read().split()
    process.stdout.close()
    process.wait()
    vault = Vault(tmp_path / "vault")
    for number, study in enumerate(confirmed, 1):
        assert study == vault.pseudonym(f"1.2.{number}") and len(vault.recall(study).real) == 52


@pytest.mark.skipif(os.getuid() != 0, reason="only root can give a folder away")
def test_a_vault_of_somebody_else_is_not_used(tmp_path: Path) -> None:
    folder = tmp_path / "vault"
    Vault(folder)
    os.chown(folder, 1234, -1)
    with pytest.raises(OpenVault, match="belongs to user 1234"):
        Vault(folder)
