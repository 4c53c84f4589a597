"""Volumes that are no DICOM: NIfTI, MHA or MHD, and NPZ with an array `ct` or `image`. What such a file does not say is warned of."""

import hashlib
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from sdx_domains.medicine.ingest.facts import cautions
from sdx_domains.medicine.ingest.files import entries
from sdx_domains.medicine.ingest.lungs import coverage, lungs, must_be_chest
from sdx_domains.medicine.ingest.rules import Progress, Refused, limits
from sdx_domains.medicine.volume import PADDING_HU, Series, StudyFacts, Volume

Kind = Literal["nifti", "mha", "npz"]
_SUFFIXES: dict[str, Kind] = {".nii": "nifti", ".nii.gz": "nifti", ".mha": "mha", ".mhd": "mha", ".npz": "npz"}
_BYTES = 1_200_000_000
"""Of a decoded array that is held next to its int16 copy."""
_SLAB = 16
_SILENT = "The file says nothing of age, kernel, contrast, scanner or original UIDs."
_NPZ_ASSUMED = (
    "The file gives no orientation: slices are taken as feet to head, rows as front to back, columns as the patient's right to left. "
    "Sides may be wrong."
)


@dataclass(frozen=True, slots=True)
class Raw:
    """A file opened, nothing read but its header."""

    shape: tuple[int, int, int]
    affine: NDArray[np.float64]
    """(4, 4), array index to LPS mm."""
    slabs: Callable[[], Iterator[tuple[int, NDArray[Any]]]]
    """(start, values) along array axis `axis`."""
    axis: int
    assumed: tuple[str, ...] = ()


def kind_of(path: Path) -> Kind | None:
    """By the file's ending; None for folders and everything else."""
    name = path.name.lower()
    return next((kind for suffix, kind in _SUFFIXES.items() if name.endswith(suffix)), None) if path.is_file() else None


def listed(path: Path) -> dict[str, Any]:
    """Slices, spacing, extent: as list_series shows them."""
    raw = _opened(path)
    order, _, spacing = _axes(raw.affine)
    slices = raw.shape[order[0]]
    return {"slices": slices, "spacing_mm": spacing[0], "extent_mm": (slices - 1) * spacing[0], "kernel": "unknown"}


def read(path: Path, pseudonym: Callable[[str], str], progress: Progress) -> Series:
    """Refused: not a chest CT in Hounsfield units with a known orientation."""
    raw = _opened(path)
    order, flips, spacing = _axes(raw.affine)
    if raw.shape[order[0]] < limits().slices_min:
        raise Refused("size", f"{raw.shape[order[0]]} slices, fewer than {limits().slices_min}: give the whole chest.")
    hu, said = _hounsfield(raw, progress)
    corner = np.array([raw.shape[axis] - 1 if flip else 0 for axis, flip in sorted(zip(order, flips, strict=True))] + [1.0])
    origin = (raw.affine @ corner)[:3]
    hu = np.ascontiguousarray(hu.transpose(order)[tuple(slice(None, None, -1 if flip else 1) for flip in flips)])
    if order != (0, 1, 2) or any(flips):
        said.append("The array was turned: slices feet to head, rows front to back, columns the patient's right to left.")
    z = origin[2] + np.arange(len(hu)) * spacing[0]
    volume = Volume(hu, spacing, (float(origin[0]), float(origin[1]), float(origin[2])), z)
    seen = lungs(volume)
    must_be_chest(seen)
    covered = coverage(seen)
    kind, content = kind_of(path), _digest(path)
    assert kind
    facts = StudyFacts(
        study_uid=pseudonym(f"study-{content}"),
        series_uid=pseudonym(f"series-{content}"),
        slice_uids=tuple(f"slice-{number}" for number in range(1, len(hu) + 1)),
        slices=len(hu),
        spacing_mm=spacing,
        coverage=covered,
        source=kind,
        corrections=tuple(said),
        warnings=(*raw.assumed, _SILENT, *cautions(volume, "unknown", None)),
    )
    return Series(volume, facts)


def _opened(path: Path) -> Raw:
    with _said(path):
        raw = {"nifti": _nifti, "mha": _mha, "npz": _npz}[kind_of(path) or "npz"](path)
        if max(raw.shape) > 8 * limits().matrix or np.prod(raw.shape, dtype=np.float64) > limits().voxels:
            raise Refused("size", f"{' x '.join(map(str, raw.shape))} voxels, more than {limits().voxels}: not one chest CT.")
        return raw


@contextmanager
def _said(path: Path) -> Iterator[None]:
    """Whatever a reader raises becomes a refusal of our own words: theirs quote the path."""
    try:
        yield
    except Refused:
        raise
    except Exception:  # noqa: BLE001 -- readers of hostile bytes raise nearly anything
        suffix = "".join(path.suffixes[-2:]) if path.name.lower().endswith(".gz") else path.suffix
        ending = suffix.lower() if suffix.lower() in _SUFFIXES else "array"
        raise Refused("input", f"The {ending} file is cut short or broken: transfer it again.") from None


def _nifti(path: Path) -> Raw:
    import nibabel

    image: Any = nibabel.load(path, keep_file_open=True)
    header, shape = image.header, tuple(int(each) for each in image.shape)
    if len(shape) < 3 or any(each != 1 for each in shape[3:]):
        raise Refused("size", f"The NIfTI file has {len(shape)} dimensions: give one 3-D volume.")
    if header["sform_code"] == 0 and header["qform_code"] == 0:
        raise Refused("orientation", "The NIfTI file has neither sform nor qform: sides are unknown. Convert the DICOM series again.")
    if header.get_xyzt_units()[0] not in ("mm", "unknown"):
        raise Refused("spacing", "The NIfTI file is not in millimetres (xyzt_units): convert the DICOM series again.")
    _real(header.get_data_dtype())

    def slabs() -> Iterator[tuple[int, NDArray[Any]]]:
        for start in range(0, shape[2], _SLAB):
            yield start, np.asanyarray(image.dataobj[:, :, start : start + _SLAB]).reshape(*shape[:2], -1)

    return Raw((shape[0], shape[1], shape[2]), np.diag([-1.0, -1.0, 1.0, 1.0]) @ image.affine, slabs, 2)


def _mha(path: Path) -> Raw:
    import SimpleITK as sitk

    _local_data(path)
    sitk.ProcessObject.SetGlobalWarningDisplay(False)
    reader = sitk.ImageFileReader()
    reader.SetImageIO("MetaImageIO")
    reader.SetFileName(str(path))
    reader.ReadImageInformation()
    size = reader.GetSize()
    if len(size) != 3 or reader.GetNumberOfComponents() != 1:
        raise Refused(
            "size", f"The file has {len(size)} dimensions and {reader.GetNumberOfComponents()} values a voxel: give one 3-D volume."
        )
    if np.prod(size, dtype=np.float64) * 8 > 4 * _BYTES:
        raise Refused("size", f"{' x '.join(map(str, size))} voxels do not fit in memory: give the original slices as DICOM.")
    axes = np.array(reader.GetDirection()).reshape(3, 3) * np.array(reader.GetSpacing())
    affine = np.eye(4)
    affine[:3, :3], affine[:3, 3] = axes[:, ::-1], reader.GetOrigin()

    def slabs() -> Iterator[tuple[int, NDArray[Any]]]:
        image = reader.Execute()  # has a name until the view is used up: the view alone does not keep the voxels alive
        yield 0, sitk.GetArrayViewFromImage(image)

    return Raw((int(size[2]), int(size[1]), int(size[0])), affine, slabs, 0)


def _local_data(path: Path) -> None:
    """The header may name another file: only one beside it, by plain name."""
    with path.open("rb") as file:
        head = file.read(16384)
    found = [
        line.split(b"=", 1)[1].strip()
        for line in head.splitlines()
        if line.split(b"=", 1)[0].strip() == b"ElementDataFile" and b"=" in line
    ]
    if not found:
        raise Refused("input", "The MHA header has no ElementDataFile: the file is broken.")
    name = found[0].decode("utf-8", "replace")
    if name == "LOCAL":
        return
    if name.startswith("LIST") or "%" in name or Path(name).name != name or "\\" in name:
        raise Refused("archive", "ElementDataFile leads out of the folder or to many files: not read. Give a single .mha file.")
    if not (path.parent / name).is_file():
        raise Refused("input", "The data file named in ElementDataFile is not beside the header: transfer both, or give an .mha file.")


def _npz(path: Path) -> Raw:
    """TANGO2's arrays: `ct` (1, slices, rows, columns) in HU, or `image`. `spacing` (slice, row, column; mm) is used where the file has it."""
    with zipfile.ZipFile(path) as archive:
        held = {member.filename.removesuffix(".npy"): member for member in archive.infolist()}
        name = next((each for each in ("ct", "image") if each in held), None)
        if name is None:
            raise Refused("input", "The NPZ file has no array named ct or image: give one.")
        with archive.open(held[name]) as stream:
            version = np.lib.format.read_magic(stream)
            head = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
            shape, _, kind = head(stream)
    _real(kind)
    while len(shape) > 3 and shape[0] == 1:
        shape = shape[1:]
    if len(shape) != 3:
        raise Refused("size", f"The array has {len(shape)} dimensions: give (1, slices, rows, columns).")
    if np.prod(shape, dtype=np.float64) * kind.itemsize > _BYTES:
        raise Refused("size", f"{' x '.join(map(str, shape))} voxels of {kind.itemsize} bytes do not fit in memory: store int16.")
    spacing, assumed = _npz_spacing(path, "spacing" in held)

    def slabs() -> Iterator[tuple[int, NDArray[Any]]]:
        with np.load(path, allow_pickle=False) as loaded:
            yield 0, loaded[name].reshape(shape)

    affine = np.eye(4)
    affine[:3, :3] = np.diag(spacing)[::-1]
    return Raw((shape[0], shape[1], shape[2]), affine, slabs, 0, (*assumed, _NPZ_ASSUMED))


def _npz_spacing(path: Path, given: bool) -> tuple[tuple[float, float, float], tuple[str, ...]]:
    assumed = limits().npz_spacing_mm
    if not given:
        text = " x ".join(f"{each:g}" for each in assumed)
        return assumed, (f"The file gives no voxel spacing: {text} mm is assumed. All sizes are unreliable.",)
    with np.load(path, allow_pickle=False) as loaded:
        values = np.asarray(loaded["spacing"], dtype=np.float64).ravel()
    if values.shape != (3,):
        raise Refused("spacing", f"The array spacing has {values.size} values, not 3 (slice, row, column; mm).")
    return (float(values[0]), float(values[1]), float(values[2])), ()


def _real(kind: np.dtype[Any]) -> None:
    if kind.kind not in "iuf":
        raise Refused("pixels", "The voxels are not real numbers: give Hounsfield units as int16 or float32.")


def _axes(affine: NDArray[np.float64]) -> tuple[tuple[int, int, int], tuple[bool, bool, bool], tuple[float, float, float]]:
    """Array axes that run along z, y, x; whether each runs backwards; spacing along them. Refused: oblique or no sizes."""
    step = affine[:3, :3]
    length = np.linalg.norm(step, axis=0)
    if not np.all(np.isfinite(affine)) or not all(0.05 <= each <= 15.0 for each in length):
        raise Refused("spacing", "The voxel spacing is outside 0.05..15 mm: sizes cannot be measured. Convert the series again.")
    cosine = step / length
    order = tuple(int(np.abs(cosine[patient]).argmax()) for patient in (2, 1, 0))
    if len(set(order)) != 3:
        raise Refused("orientation", "The array's axes do not follow the patient's: give the axial series.")
    off = max(float(np.degrees(np.arccos(min(1.0, abs(cosine[2 - place, axis]))))) for place, axis in enumerate(order))
    if off > limits().axial_deg:
        raise Refused(
            "orientation", f"The volume is {off:.1f} degrees off axial (at most {limits().axial_deg:.0f}): give the axial series."
        )
    flips = tuple(bool(cosine[2 - place, axis] < 0) for place, axis in enumerate(order))
    first, second, third = (float(length[axis]) for axis in order)
    return (order[0], order[1], order[2]), (flips[0], flips[1], flips[2]), (first, second, third)


def _hounsfield(raw: Raw, progress: Progress) -> tuple[NDArray[np.int16], list[str]]:
    """Checked to be Hounsfield units; rounded to whole ones."""
    hu = np.empty(raw.shape, dtype=np.int16)
    low, high, lost, rounded = np.inf, -np.inf, 0, False
    with _said(Path("volume")):
        for start, values in raw.slabs():
            place = [slice(None)] * 3
            place[raw.axis] = slice(start, start + values.shape[raw.axis])
            if values.dtype.kind == "f":
                whole = np.rint(values)
                bad = ~np.isfinite(whole)
                lost += int(bad.sum())
                whole[bad] = PADDING_HU
                rounded |= bool(np.any(whole[~bad] != values[~bad]))
                values = whole
            low, high = min(low, float(values.min())), max(high, float(values.max()))
            hu[tuple(place)] = np.clip(values, -32768, 32767)
            progress(start + values.shape[raw.axis], raw.shape[raw.axis])
    wanted = limits().hu_range
    if low < wanted[0] or high > wanted[1] or low > limits().hu_air_needed:
        raise Refused(
            "hounsfield", f"Values run from {low:.4g} to {high:.4g}: not Hounsfield units (air is -1000). Apply slope and intercept."
        )
    said = ["Values were rounded to whole Hounsfield units."] if rounded else []
    return hu, said + ([f"{lost} voxels were no numbers and were set to {PADDING_HU} HU."] if lost else [])


def _digest(path: Path) -> str:
    """Of the file's content, so that the same file is the same study."""
    held = hashlib.sha256()
    with entries(path)[0].open() as file:
        while chunk := file.read(1 << 20):
            held.update(chunk)
    return held.hexdigest()[:32]
