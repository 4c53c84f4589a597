"""SEG: valid, the voxels come back where they were, whatever way the images were stored."""

from dataclasses import replace

import numpy as np
import pytest

hd = pytest.importorskip("highdicom")

from sdx_domains.medicine.out import seg
from sdx_domains.medicine.out.images import as_stored


def test_it_is_valid_and_says_that_it_is_a_draft(made_up, results, errors, tmp_path):
    path = seg.write(made_up.series(), results("draft"), tmp_path / "seg.dcm")
    assert path is not None and errors(path) == []
    made = hd.seg.segread(path)
    assert made.ContentLabel == "AI_DRAFT" and "not verified" in made.SeriesDescription
    final = seg.document(made_up.series(), results("signed"))
    assert final is not None and final.ContentLabel == "FINDINGS" and final.ContentCreatorName == "PARK^JIWON"


@pytest.mark.parametrize("orientation", [(1, 0, 0, 0, 1, 0), (-1, 0, 0, 0, -1, 0), (0, 1, 0, 1, 0, 0)])
def test_voxels_come_back_on_their_images(made_up, results, tmp_path, orientation):
    series = made_up.series(orientation)
    said = made_up.statements(made_up.picture())[:1]
    made = hd.seg.segread(seg.write(series, results("draft", said=said), tmp_path / "seg.dcm"))
    number = next(n for n in made.segment_numbers if made.get_segment_description(n).tracking_id == "F1")
    about = made.get_segment_description(number)
    assert about.segmented_property_type.value == "427359005" and about.anatomic_regions[0].value == "72481006"
    planes = made.get_pixels_by_source_instance(source_sop_instance_uids=[series.sop_uids[n] for n in (5, 6, 7)], segment_numbers=[number])
    for plane, index in zip(planes[..., 0], (5, 6, 7), strict=True):
        assert np.array_equal(plane == 1, as_stored(series.header, series.volume.hu[index] == 40))


def test_small_regions_lie_over_large_ones_and_hidden_ones_are_left_out(made_up, results):
    volume = made_up.series().volume
    first, second = (each.finding for each in results("draft").stated[:2])

    def over(finding, low, high):
        box = (*volume.lps_mm(low), *volume.lps_mm(high))
        corners = [sorted(pair) for pair in zip(box[:3], box[3:], strict=True)]
        bounds = (*(low for low, _ in corners), *(high for _, high in corners))
        return finding.model_copy(update={"label": "bronchiectasis", "bbox_lps_mm": bounds})  # of no density: all of the ellipsoid

    large, small = over(first, (0.0, 0.0, 0.0), (6.0, 8.0, 8.0)), over(second, (3.0, 4.0, 4.0), (3.0, 4.0, 4.0))
    numbers, kept = seg.label_map(volume, [large, small])
    assert [each.id for each in kept] == [first.id, second.id] and (numbers == 2).sum() == 1 and (numbers == 1).sum() > 1
    numbers, kept = seg.label_map(volume, [over(first, (3.0, 4.0, 4.0), (3.0, 4.0, 4.0)), small])
    assert len(kept) == 1 and set(np.unique(numbers)) == {0, 1}


def test_nothing_stated_makes_no_file_and_a_straightened_volume_is_refused(made_up, results, tmp_path):
    said = tuple(each.model_copy(update={"present": "no"}) for each in made_up.statements(made_up.picture()))
    assert seg.write(made_up.series(), results("draft", said=said), tmp_path / "none.dcm") is None and not list(tmp_path.iterdir())
    series = made_up.series()
    tilted = replace(
        series,
        facts=series.facts.model_copy(
            update={"corrections": ("The gantry was tilted by 12.0 degrees: rows were interpolated along the table to axial slices.",)}
        ),
    )
    with pytest.raises(ValueError, match="was put straight"):
        seg.write(tilted, results("draft"), tmp_path / "x.dcm")
