"""The 3-D view, where the ipyniivue package (BSD-2-Clause, `pip install --no-deps ipyniivue`) is installed. Start at bundle().

Its NiiVue is handed on from the installed package as it is, with one line that gives the viewer's class a name outside of Jupyter.
"""

import re
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from sdx_domains.medicine.volume import Volume

MOST_VOXELS = 192
"""Along an axis: what a browser's WebGL takes without a graphics card."""
_CLASS = re.compile(r"([\w$]+)=class(?: [\w$]+)?(?: extends [\w$]+)?\{")


def bundle() -> bytes | None:
    """An ES module that exports `Niivue`; None where the package is missing or is no longer made as it was."""
    spec = find_spec("ipyniivue")
    path = Path(spec.origin).parent / "static" / "widget.js" if spec and spec.origin else None
    if path is None or not path.is_file():
        return None
    text = path.read_text(encoding="utf-8")
    names = _CLASS.findall(text, 0, max(0, text.find("async attachToCanvas(")))
    return f"{text}\nexport {{ {names[-1]} as Niivue }};\n".encode() if names else None


def nifti(volume: Volume) -> bytes:
    """The volume thinned out to MOST_VOXELS an axis, as NIfTI: its axes are RAS, ours LPS."""
    import nibabel

    steps = [max(1, -(-size // MOST_VOXELS)) for size in volume.hu.shape]
    thin = np.ascontiguousarray(volume.hu[:: steps[0], :: steps[1], :: steps[2]].transpose(2, 1, 0))
    dz, dy, dx = (mm * step for mm, step in zip(volume.spacing_mm, steps, strict=True))
    x0, y0, _ = volume.origin_lps_mm
    affine = np.array([[-dx, 0, 0, -x0], [0, -dy, 0, -y0], [0, 0, dz, float(volume.z_mm[0])], [0, 0, 0, 1]])
    return nibabel.Nifti1Image(thin, affine).to_bytes()
