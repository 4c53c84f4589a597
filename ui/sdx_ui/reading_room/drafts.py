"""Drafts into the reading room's folder: from a file on disk, from what arrives, and the results of a case as files. Start at drafting()."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from sdx_agents.reading.case import Case
from sdx_agents.reading.cases import CaseStore
from sdx_agents.reading.drafting import Drafter, keep
from sdx_domains.medicine.language.render import render
from sdx_domains.medicine.privacy.logs import install
from sdx_domains.medicine.privacy.text import scrub
from sdx_domains.medicine.privacy.vault import Vault
from sdx_domains.medicine.volume import Series
from sdx_serving.vision.client import SeeingChat, open_reader
from sdx_ui.reading_room.export import EXPORTS

Drafting = Callable[[Path], tuple[Case, Mapping[str, float]]]
"""A study's path -> its case, and the seconds of each step. Refused, with why, for what cannot be read."""


@contextmanager
def reading(model: str) -> Iterator[SeeingChat | None]:
    """The vision model, whose engine ends with the block; None for "none"."""
    if model == "none":
        yield None
        return
    with open_reader(model) as reader:
        yield reader


def drafting(folder: Path, reader: SeeingChat | None) -> Drafting:
    """Reads studies one after another."""
    install()
    store = CaseStore(folder, render, scrub)
    drafter = Drafter(Vault(folder / "vault"), reader, store)

    def draft(path: Path) -> tuple[Case, Mapping[str, float]]:
        made = drafter.draft(path)
        return keep(store, made), {step: round(seconds, 3) for step, seconds in made.seconds.items()}

    return draft


@dataclass(frozen=True)
class Written:
    """Results of a case."""

    files: tuple[Path, ...]
    left_out: tuple[str, ...]
    """What could not be written, and why."""


def results(folder: Path, name: str, out: Path, identified: bool = False) -> Written:
    """Every result that the case can give: preliminary until it is signed.

    Args:
        identified: with the patient and the real UIDs of the vault, for the PACS; else pseudonymous.

    Raises:
        KeyError: no such case; or the vault does not know its study.
    """
    store = CaseStore(folder, render, scrub)
    case, series = store.case(name), store.series(name)
    if identified:
        series = as_it_was(series, Vault(folder / "vault"))
    out.mkdir(parents=True, exist_ok=True, mode=0o700)
    files, left_out = list[Path](), list[str]()
    for kind, write in EXPORTS.items():
        try:
            files.append(write(case, series, out))
        except ValueError as error:  # a volume without DICOM has no SR; nothing that is stated has no outline
            left_out.append(f"{kind}: {error}")
    store.record("results_written", name, "", {"kinds": [path.name for path in files], "identified": identified})
    return Written(tuple(files), tuple(left_out))


def as_it_was(series: Series, vault: Vault) -> Series:
    """The series with the identity that the vault remembers. KeyError: it remembers none."""
    known = vault.recall(series.facts.study_uid, series.facts.series_uid)
    return Series(series.volume, series.facts, known.header, tuple(known.real[uid] for uid in series.facts.slice_uids))
