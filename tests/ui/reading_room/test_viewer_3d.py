"""The 3-D view's parts: the volume on RAS axes, and the viewer out of an installed package."""

from pathlib import Path

import chest
import numpy as np
import pytest

from sdx_ui.reading_room.viewer_3d import MOST_VOXELS, bundle, nifti


def test_the_nodule_lies_on_the_right_in_ras() -> None:
    nibabel = pytest.importorskip("nibabel")
    image = nibabel.Nifti1Image.from_bytes(nifti(chest.volume()))
    slice_, row, column = chest.NODULE
    assert image.get_fdata()[column, row, slice_] == 35
    x, y, z = chest.volume().lps_mm(chest.NODULE)
    assert np.allclose(image.affine @ [column, row, slice_, 1], [-x, -y, z, 1])
    assert -x > 0, "right is positive in RAS"


def test_a_large_volume_is_thinned_out() -> None:
    nibabel = pytest.importorskip("nibabel")
    from sdx_domains.medicine.volume import Volume

    volume = Volume(np.zeros((10, 512, 400), np.int16), (1.0, 0.7, 0.8), (0.0, 0.0, 0.0), np.arange(10.0))
    image = nibabel.Nifti1Image.from_bytes(nifti(volume))
    assert max(image.shape) <= MOST_VOXELS and np.allclose(image.header.get_zooms(), (0.8 * 3, 0.7 * 3, 1.0))


@pytest.mark.parametrize(
    ("text", "there"), [("var q=class{async attachToCanvas(a){}},t={};export{t as default};", True), ("nothing", False)]
)
def test_the_viewer_comes_out_of_the_installed_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, there: bool) -> None:
    (tmp_path / "ipyniivue/static").mkdir(parents=True)
    (tmp_path / "ipyniivue/__init__.py").touch()
    (tmp_path / "ipyniivue/static/widget.js").write_text(text)
    monkeypatch.syspath_prepend(str(tmp_path))
    found = bundle()
    assert found == (f"{text}\nexport {{ q as Niivue }};\n".encode() if there else None)
