"""All diseases that a phantom can have, by label key. Start at DISEASES."""

from collections.abc import Callable

from sdx_domains.medicine.phantom import lung_diseases as lungs
from sdx_domains.medicine.phantom import other_diseases as others
from sdx_domains.medicine.phantom.draft import Draft

Disease = Callable[[Draft], None]
DISEASES: dict[str, Disease] = {
    each.__name__: each
    for each in (
        others.pleural_effusion,
        others.pneumothorax,
        others.pericardial_effusion,
        others.cardiomegaly,
        lungs.mass,
        lungs.consolidation,
        lungs.opacity,
        lungs.atelectasis,
        lungs.nodule,
        lungs.bronchiectasis,
        lungs.fibrotic_sequela,
        others.hiatal_hernia,
        others.lymphadenopathy,
        lungs.emphysema,
        lungs.mosaic,
        lungs.septal_thickening,
        lungs.peribronchial_thickening,
        others.arterial_calcification,
        others.coronary_calcification,
        others.medical_material,
    )
}
"""In the order in which they are put in: large things first, so that small ones find room beside them."""
