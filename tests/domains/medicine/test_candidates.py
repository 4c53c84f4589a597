"""Candidate findings: by measurement alone, with an encoder's maps, and how the two are put together."""

import numpy as np
import pytest

pytest.importorskip("numba", reason="the phantom needs numba")

from sdx_domains.medicine.candidates import find
from sdx_domains.medicine.evidence import Evidence
from sdx_domains.medicine.labels import labels
from sdx_domains.medicine.measure.anatomy import segment
from sdx_domains.medicine.measure.measure import measure
from sdx_domains.medicine.measure.seen import on_grid
from sdx_domains.medicine.measure.thresholds import thresholds
from sdx_domains.medicine.phantom.render import Phantom, render
from sdx_domains.medicine.phantom.scene import SEEDS, scene
from sdx_domains.medicine.placing import score
from sdx_domains.medicine.slabs import CELLS, SLABS, slabs


def phantom_of(*diseases: str, seed: int = 21) -> Phantom:
    return render(scene(SEEDS["tuning"].start + seed, diseases, contrast=False), spacing_mm=(5.0, 2.5, 2.5))


def knowing(phantom: Phantom, sure: float = 0.95) -> Evidence:
    """What an encoder would say that sees each cell's labels as they are drawn."""
    _, grid = slabs(phantom.volume)
    maps = {label.key: np.zeros((SLABS, CELLS, CELLS), np.float32) for label in labels()}
    masks = phantom.masks
    assert masks is not None
    z, y, x = np.nonzero(masks)
    volume = phantom.volume
    cell = np.stack(
        [
            np.abs(volume.z_mm[z][:, None] - grid.z_mm[None]).argmin(axis=1),
            np.clip(np.rint((volume.origin_lps_mm[1] + y * volume.spacing_mm[1] - grid.y0_mm) / grid.cell_mm), 0, CELLS - 1).astype(int),
            np.clip(np.rint((volume.origin_lps_mm[0] + x * volume.spacing_mm[2] - grid.x0_mm) / grid.cell_mm), 0, CELLS - 1).astype(int),
        ]
    )
    for place, label in enumerate(labels()):
        own = masks[z, y, x] >> np.uint32(place) & 1 != 0
        maps[label.key][tuple(cell[:, own])] = 1.0
    there = {finding.label for finding in phantom.truth}
    probability = {label.key: sure if label.key in there else 0.02 for label in labels()}
    return Evidence(probability, maps, grid, "handle", "by-hand", "0" * 64)


def found(phantom: Phantom, evidence: Evidence | None):
    anatomy = segment(phantom.volume)
    return find(phantom.volume, anatomy, measure(phantom.volume, anatomy), evidence, phantom.facts)


def test_measurement_alone_finds_what_can_be_measured():
    phantom = phantom_of("pleural_effusion", "medical_material", "cardiomegaly")
    stated = {finding.label: finding for finding in found(phantom, None) if finding.probability > 0.5}
    true = {finding.label: finding for finding in phantom.truth}
    assert {"pleural_effusion", "medical_material", "cardiomegaly"} <= stated.keys()
    assert stated["pleural_effusion"].laterality == true["pleural_effusion"].laterality
    assert stated["cardiomegaly"].measure["cardiothoracic_ratio"] > 0.5
    assert all(finding.found_by == "measurement" for finding in stated.values())


def test_an_encoder_is_not_heard_on_what_it_cannot_tell():
    phantom = phantom_of("lymphadenopathy", "pleural_effusion")
    named = {finding.label for finding in found(phantom, knowing(phantom))}
    assert "pleural_effusion" in named and not named & set(thresholds().unheard) and "lymphadenopathy" in thresholds().unheard


def test_ids_slices_and_boxes_hold_together():
    phantom = phantom_of("pleural_effusion", "mass", "opacity")
    findings = found(phantom, knowing(phantom))
    assert [finding.id for finding in findings] == [f"F{n + 1}" for n in range(len(findings))]
    order = [label.key for label in labels()]
    assert [order.index(finding.label) for finding in findings] == sorted(order.index(finding.label) for finding in findings)
    for finding in findings:
        own = finding.slices
        assert own.first <= own.key <= own.last < phantom.facts.slices
        assert own.key_uid == phantom.facts.slice_uids[own.key]
        x0, y0, z0, x1, y1, z1 = finding.bbox_lps_mm
        assert x0 <= finding.centroid_lps_mm[0] <= x1
        assert y0 <= finding.centroid_lps_mm[1] <= y1
        assert z0 <= finding.centroid_lps_mm[2] <= z1


def test_an_encoder_that_knows_places_everything():
    """Side, third and key slice of nearly every label."""
    placed = []
    for seed, diseases in enumerate((("consolidation", "emphysema", "nodule"), ("opacity", "mass", "septal_thickening"))):
        phantom = phantom_of(*diseases, seed=30 + seed)
        findings = found(phantom, knowing(phantom))
        assert {finding.label for finding in phantom.truth} <= {finding.label for finding in findings if finding.probability >= 0.5}
        placed += score(phantom.truth, findings, phantom.masks)
    sides = [each.side_right for each in placed if each.side_right is not None]
    zones = [each.zone_right for each in placed if each.zone_right is not None]
    assert np.mean(sides) >= 0.85
    assert np.mean(zones) >= 0.75
    assert np.mean([each.key_slice_inside for each in placed]) >= 0.9


def test_what_nobody_sees_is_no_candidate():
    phantom = phantom_of()
    stated = [finding for finding in found(phantom, knowing(phantom)) if finding.probability >= 0.5]
    assert stated == []


def test_the_encoder_can_be_contradicted():
    """A sure encoder that sees fluid where none is measured is held back; its word alone still makes a candidate."""
    phantom = phantom_of()
    evidence = knowing(phantom)
    evidence.maps["pleural_effusion"][10, 11, 4] = 1.0
    told = Evidence({**evidence.probability, "pleural_effusion": 0.9}, evidence.maps, evidence.grid, "handle", "by-hand", "0" * 64)
    [finding] = [each for each in found(phantom, told) if each.label == "pleural_effusion"]
    assert finding.probability < 0.9
    assert finding.found_by == "encoder"
    assert finding.laterality == "right"


@pytest.mark.parametrize(
    ("label", "cooler", "fluid", "side"),
    [
        ("atelectasis", 0.85, 0.1, "bilateral"),
        ("atelectasis", 0.85, 0.9, "right"),  # lung beside fluid is dense
        ("atelectasis", 0.6, 0.1, "right"),
        ("consolidation", 0.85, 0.1, "right"),
        ("consolidation", 0.97, 0.9, "bilateral"),
    ],
)
def test_the_second_side_is_named_where_the_map_is_hot_enough(label, cooler, fluid, side):
    phantom = phantom_of()
    evidence = knowing(phantom)
    maps = {key: np.zeros((SLABS, CELLS, CELLS), np.float32) for key in evidence.maps}
    maps[label][14:18, 11:14, 6:9], maps[label][14:18, 11:14, 15:18] = 0.99, cooler
    maps["pleural_effusion"][14:18, 11:14, 15:18] = fluid
    told = Evidence({**evidence.probability, label: 0.95}, maps, evidence.grid, "handle", "by-hand", "0" * 64)
    [finding] = [each for each in found(phantom, told) if each.label == label]
    assert finding.laterality == side
    low, high = finding.bbox_lps_mm[0], finding.bbox_lps_mm[3]
    assert low < segment(phantom.volume).midline_x_mm
    assert (high > segment(phantom.volume).midline_x_mm + 10) == (side == "bilateral")


def test_a_mass_that_the_map_shows_at_one_end_is_measured_as_a_whole():
    phantom = phantom_of("mass", seed=60)
    evidence = knowing(phantom)
    levels = np.flatnonzero(evidence.maps["mass"].any(axis=(1, 2)))
    evidence.maps["mass"][levels[1] :] *= 0.1
    [finding] = [each for each in found(phantom, evidence) if each.label == "mass"]
    [true] = [each for each in phantom.truth if each.label == "mass"]
    assert finding.size is not None and true.size is not None
    assert finding.size.long_mm == pytest.approx(true.size.long_mm, abs=4)
    assert np.hypot.reduce(np.subtract(finding.centroid_lps_mm, true.centroid_lps_mm)) < 6


def test_a_map_lies_where_its_cells_lie():
    phantom = phantom_of()
    evidence = knowing(phantom)
    anatomy = segment(phantom.volume)
    cells = np.zeros((SLABS, CELLS, CELLS), np.float32)
    cells[16, 5, 9] = 1.0
    on = on_grid(cells, evidence, anatomy)
    x, y, z = evidence.grid.lps_mm((16.0, 5.0, 9.0))
    level, row, column = np.unravel_index(int(on.argmax()), on.shape)
    there = anatomy.grid.lps_mm((float(level), float(row), float(column)))
    assert there[0] == pytest.approx(x, abs=3)
    assert there[1] == pytest.approx(y, abs=3)
    assert there[2] == pytest.approx(z, abs=6)
