"""A path in, one chest CT series out: DICOM folder or ZIP, NIfTI, MHA, NPZ. `list_series` says what would be read and why the rest not."""

import hashlib
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from sdx_domains.contract import Closed
from sdx_domains.medicine.ingest import arrays, geometry
from sdx_domains.medicine.ingest.facts import facts_of
from sdx_domains.medicine.ingest.files import entries
from sdx_domains.medicine.ingest.headers import NotDicom, Plane, planes
from sdx_domains.medicine.ingest.lungs import coverage, lungs, must_be_chest
from sdx_domains.medicine.ingest.pixels import Loaded, load
from sdx_domains.medicine.ingest.quiet import quiet
from sdx_domains.medicine.ingest.rules import Progress, Refused, limits
from sdx_domains.medicine.ingest.stacks import Stack, preference, stacks
from sdx_domains.medicine.ingest.turn import thinned, turned
from sdx_domains.medicine.volume import Kernel, Series

Pseudonym = Callable[[str], str]


class Listed(Closed):
    """One series of a path and what would be done with it."""

    key: str
    """"S1"..: `read_study(path, ..., series=key)` reads this one."""
    number: int | None
    """SeriesNumber."""
    slices: int
    spacing_mm: float | None
    extent_mm: float
    kernel: Kernel
    use: Literal["read", "readable", "refused"]
    """read: it would be chosen; readable: only when asked for."""
    best_for: tuple[Literal["lungs", "mediastinum"], ...] = ()
    rule: str = ""
    """The rule that refuses it."""
    reason: str


@dataclass(frozen=True, slots=True)
class _Found:
    stacks: list[Stack]
    passed_over: int
    """Files that are not DICOM."""
    broken: tuple[Refused, ...]
    """DICOM files that could not be used."""


def list_series(path: Path, kernel: Kernel = "soft") -> tuple[Listed, ...]:
    """By headers alone: whether a series shows a chest is found when it is read. Refused: nothing at all can be listed."""
    with quiet():
        if arrays.kind_of(path):
            return (Listed(key="S1", number=None, use="read", reason="one volume", **arrays.listed(path)),)
        found = _found(path)
        if not found.stacks:
            raise _nothing(found)
    order = _candidates(found.stacks, kernel)
    best = {"lungs": _candidates(found.stacks, "lung")[:1], "mediastinum": _candidates(found.stacks, "soft")[:1]}
    return tuple(_listed(stack, order, best) for stack in found.stacks)


def read_study(
    path: Path, pseudonym: Pseudonym, progress: Progress = lambda done, total: None, kernel: Kernel = "soft", series: str | None = None
) -> Series:
    """The best axial original chest series of the path, or the one named by its key (see list_series).

    `kernel`: soft for mediastinum and measurements (the default), lung for parenchyma; taken where the study has both.
    `pseudonym` turns a real UID into the one that may be kept. Refused: none can be read; the message says why.
    """
    with quiet():
        if arrays.kind_of(path):
            return arrays.read(path, pseudonym, progress)
        found = _found(path)
        if not found.stacks:
            raise _nothing(found)
        chosen = _candidates(found.stacks, kernel) if series is None else [_by_key(found.stacks, series)]
        if not chosen:
            raise _summary(found.stacks)
        first: Refused | None = None
        for stack in chosen:
            try:
                return _read(stack, found, pseudonym, progress)
            except Refused as refused:
                first = first or refused
        assert first is not None
        raise first


def _found(path: Path) -> _Found:
    passed_over, broken, held = 0, [], []
    for entry in entries(path):
        try:
            held += planes(entry)
        except NotDicom:
            passed_over += 1
        except Refused as refused:
            broken.append(refused)
    return _Found(stacks(held), passed_over, tuple(broken))


def _nothing(found: _Found) -> Refused:
    if found.broken:
        return found.broken[0]
    return Refused("input", f"No DICOM image among {found.passed_over} files: give a DICOM folder, ZIP, NIfTI, MHA or NPZ file.")


def _candidates(held: Sequence[Stack], kernel: Kernel) -> list[Stack]:
    return sorted((stack for stack in held if stack.refused is None), key=lambda stack: preference(stack, kernel))


def _by_key(held: Sequence[Stack], key: str) -> Stack:
    for stack in held:
        if stack.key == key:
            if stack.refused is not None:
                raise stack.refused
            return stack
    raise Refused("input", f"No such series; there are {', '.join(stack.key for stack in held)}.")


def _summary(held: Sequence[Stack]) -> Refused:
    """Why none of several series is read: the commonest reason's rule, every reason once."""
    refusals = [stack.refused for stack in held if stack.refused is not None]
    largest = max(held, key=lambda stack: len(stack.planes)).refused
    assert largest is not None
    if len(refusals) == 1:
        return largest
    said = Counter(str(each) for each in refusals)
    return Refused(
        largest.rule, f"None of {len(held)} series is read. " + " ".join(f"{count} x: {text}" for text, count in said.most_common(5))
    )


def _listed(stack: Stack, order: Sequence[Stack], best: dict[str, list[Stack]]) -> Listed:
    refused = stack.refused
    use = "refused" if refused else "read" if order and stack is order[0] else "readable"
    said = {"read": "best axial original series", "readable": "axial original series, not the first choice"}
    return Listed(
        key=stack.key,
        number=stack.planes[0].series_number,
        slices=len(stack.planes),
        spacing_mm=stack.spacing_mm,
        extent_mm=stack.extent_mm,
        kernel=stack.kernel,
        use=use,
        best_for=tuple(each for each in ("lungs", "mediastinum") if stack in best[each]),
        rule=refused.rule if refused else "",
        reason=str(refused) if refused else said[use],
    )


def _read(stack: Stack, found: _Found, pseudonym: Pseudonym, progress: Progress) -> Series:
    chosen, thin = thinned(stack.planes)
    loaded = load(chosen, progress)
    kept = tuple(chosen[index] for index in loaded.kept)
    if len(kept) < limits().slices_min:
        raise Refused("pixels", f"{len(chosen) - len(kept)} of {len(chosen)} slices have broken pixels: transfer the series again.")
    how = geometry.gaps(geometry.along(kept))
    volume, straightened = turned(loaded.hu, kept, geometry.lie(kept))
    seen = lungs(volume)
    must_be_chest(seen)
    corrections = [*straightened, *_put_right(stack, loaded), *([thin] if thin else []), *_others(stack, found)]
    warned = [*_gaps_said(how), *_broken_said(len(chosen) - len(kept), found)]
    header = _header(kept)
    facts = facts_of(kept, header, volume, coverage(seen), pseudonym, tuple(corrections), tuple(warned))
    frames = tuple(plane.frame + 1 for plane in kept) if kept[0].frames > 1 else ()
    return Series(volume, facts, header, tuple(plane.sop_uid for plane in kept), frames)


def _header(kept: Sequence[Plane]) -> Any:
    """Of the first slice, whole but for the pixels; UIDs that a file left out are made from the others', the same each time."""
    from pydicom import dcmread
    from pydicom.uid import generate_uid

    with kept[0].entry.open() as file:
        header = dcmread(file, force=True, stop_before_pixels=True)
    content = hashlib.sha256("\n".join(plane.sop_uid for plane in kept).encode()).hexdigest()
    for keyword in ("StudyInstanceUID", "SeriesInstanceUID"):
        if not header.get(keyword):
            setattr(header, keyword, generate_uid(entropy_srcs=[keyword, content]))
    if not header.get("SOPInstanceUID"):
        header.SOPInstanceUID = kept[0].sop_uid
    if not header.get("SOPClassUID"):
        header.SOPClassUID = kept[0].sop_class
    return header


def _put_right(stack: Stack, loaded: Loaded) -> list[str]:
    said = []
    if stack.duplicates_mm:
        where = ", ".join(f"{each:.1f}" for each in stack.duplicates_mm[:8])
        said.append(f"{len(stack.duplicates_mm)} slices were there twice, the second is not used: z = {where} mm.")
    if loaded.padded:
        said.append("Pixels marked as padding (PixelPaddingValue) were set to -1024 HU.")
    if loaded.rounded:
        said.append("Values were rounded to whole Hounsfield units or held to 16 bits.")
    return said


def _others(stack: Stack, found: _Found) -> list[str]:
    """Names what else the study has, so that nobody thinks it was looked at."""
    others = [each for each in found.stacks if each is not stack]
    said = []
    if others:
        named = "; ".join(f"{each.key} {each.name}" for each in others[:8]) + ("; .." if len(others) > 8 else "")
        said.append(f"Read: {stack.key} {stack.name}. Not read: {named}.")
    if found.passed_over:
        said.append(f"{found.passed_over} files are not DICOM images and were passed over.")
    return said


def _gaps_said(how: geometry.Gaps) -> list[str]:
    said = []
    if how.missing_mm:
        where = ", ".join(f"{each:.1f}" for each in how.missing_mm[:12]) + (", .." if len(how.missing_mm) > 12 else "")
        said.append(f"{len(how.missing_mm)} slices are missing, at z = {where} mm: what lies there was not seen.")
    if how.uneven:
        said.append(f"Slices are unevenly spaced: {how.uneven[0]:.2f} to {how.uneven[1]:.2f} mm.")
    return said


def _broken_said(undecoded: int, found: _Found) -> list[str]:
    count = undecoded + len(found.broken)
    return [f"{count} files are cut short or broken and were left out: transfer the study again."] if count else []
