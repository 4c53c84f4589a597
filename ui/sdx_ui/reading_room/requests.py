"""What the page sends: closed, bounded, with the revision that was looked at."""

from typing import Annotated, Literal

from pydantic import Field

from sdx_agents.reading.case import LONGEST_TEXT, Signer
from sdx_domains.contract import Closed, Language
from sdx_domains.medicine.findings import Finding, Laterality, Lobe, Presence, Size, Slices, Zone
from sdx_domains.medicine.volume import StudyFacts, Volume

Text = Annotated[str, Field(max_length=LONGEST_TEXT)]


class Change(Closed):
    """Of a case, by somebody who saw `revision`."""

    revision: int = Field(ge=0)
    by: str = Field(min_length=1, max_length=64)


class Decide(Change):
    """POST findings/{id}."""

    present: Presence
    note: Text = ""


class AddFinding(Change):
    """POST findings: what the radiologist saw, by the voxel that was pointed at."""

    label: str = Field(max_length=60)
    laterality: Laterality = "n/a"
    zone: Zone = "n/a"
    lobe: Lobe = "n/a"
    voxel: tuple[int, int, int]
    """(slice, row, column)."""
    long_mm: float | None = Field(default=None, gt=0, le=400, allow_inf_nan=False)
    short_mm: float | None = Field(default=None, gt=0, le=400, allow_inf_nan=False)
    note: Text = ""

    def finding(self, volume: Volume, facts: StudyFacts) -> Finding:
        """A box of its long axis about the voxel. ValueError: outside of the volume, or a short axis above the long one."""
        if any(not 0 <= at < size for at, size in zip(self.voxel, volume.hu.shape, strict=True)):
            raise ValueError(f"voxel {self.voxel} is outside of the volume {volume.hu.shape}")
        long_mm, short_mm = self.long_mm, self.short_mm or self.long_mm
        if long_mm is None or short_mm is None:
            long_mm = short_mm = None
        elif short_mm > long_mm:
            raise ValueError(f"the short axis, {short_mm:g} mm, is above the long one, {long_mm:g} mm")
        x, y, z = volume.lps_mm(self.voxel)
        half = (long_mm or 10.0) / 2
        first, last = volume.index((x, y, z - half))[0], volume.index((x, y, z + half))[0]
        ball_ml = (long_mm * short_mm * short_mm * 0.5236 / 1000) if long_mm and short_mm else 0.0
        return Finding(
            id="new",
            label=self.label,
            laterality=self.laterality,
            zone=self.zone,
            lobe=self.lobe,
            slices=Slices(first=first, last=last, key=self.voxel[0], key_uid=facts.slice_uids[self.voxel[0]]),
            centroid_lps_mm=(x, y, z),
            bbox_lps_mm=(x - half, y - half, z - half, x + half, y + half, z + half),
            size=Size(long_mm=long_mm, short_mm=short_mm, volume_ml=ball_ml) if long_mm and short_mm else None,
            probability=1.0,
            found_by="radiologist",
        )


class Edit(Change):
    """POST edits: one sentence; `now` "" takes it out."""

    language: Language
    was: str = Field(max_length=4 * LONGEST_TEXT)
    now: Text
    finding_ids: tuple[str, ...] = Field(default=(), max_length=200)


class Sign(Closed):
    """POST signature."""

    revision: int = Field(ge=0)
    signer: Signer
    shown_sha256: str = Field(pattern="^[0-9a-f]{64}$")
    confirmed: Literal[True]
    """That both reports were read."""


class Addend(Closed):
    """POST addenda."""

    revision: int = Field(ge=0)
    signer: Signer
    shown_sha256: str = Field(pattern="^[0-9a-f]{64}$")
    text: str = Field(min_length=1, max_length=LONGEST_TEXT)


class Ask(Closed):
    """POST questions."""

    question: str = Field(min_length=1, max_length=500)
