"""Phantoms become shards: masks on the right cells, labels as the phantom's truth, whole files or none."""

from pathlib import Path

import numpy as np
import pytest

from sdx_domains.medicine.evidence import Grid
from sdx_domains.medicine.labels import labels
from sdx_domains.medicine.slabs import CELL_MM, CHANNELS, PIXELS, SLABS
from sdx_domains.medicine.volume import Volume
from sdx_finetune.vision.recipe import DataOfVision
from sdx_finetune.vision.volumes import cells_of, jobs_of, make_volumes, open_volumes, rendered

COARSE = {"spacing_mm": (12.0, 6.0, 6.0)}


def test_a_voxel_marks_the_cell_that_it_lies_in() -> None:
    volume = Volume(np.zeros((40, 64, 64), np.int16), (6.0, 6.0, 6.0), (-189.0, -189.0, 3.0), np.linspace(3, 237, 40))
    grid = Grid(z_mm=np.linspace(4, 252, 32), y0_mm=-184.0, x0_mm=-184.0, cell_mm=CELL_MM)
    masks = np.zeros(volume.hu.shape, np.uint32)
    for index, label in (((0, 0, 0), 0), ((39, 63, 60), 19), ((20, 30, 10), 5), ((20, 30, 10), 6)):
        masks[index] |= np.uint32(1 << label)
    cells = cells_of(masks, volume, grid)
    found = {(*map(int, where), bit) for where in zip(*np.nonzero(cells), strict=True) for bit in range(20) if cells[where] >> bit & 1}
    # z 3 mm is slab 0, 237 mm slab 29; x -189 + 60 * 6 = 171 mm is column (171 + 184) / 16 = 22.2 -> 22
    assert found == {(0, 0, 0, 0), (29, 23, 22, 19), (15, 11, 3, 5), (15, 11, 3, 6)}


def test_voxels_outside_of_the_picture_mark_nothing() -> None:
    volume = Volume(np.zeros((2, 2, 2), np.int16), (400.0, 6.0, 6.0), (500.0, 0.0, -400.0), np.array([-400.0, 0.0]))
    grid = Grid(z_mm=np.linspace(4, 252, 32), y0_mm=-184.0, x0_mm=-184.0, cell_mm=CELL_MM)
    assert not cells_of(np.ones((2, 2, 2), np.uint32), volume, grid).any()


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[DataOfVision, Path]:
    folder = tmp_path_factory.mktemp("data")
    data = DataOfVision.model_validate({"train": {"count": 3, "seed": 1_000_000}, "shard": 2, "render": COARSE})
    make_volumes(data, "train", folder, 1, lambda line: None)
    return data, folder


def test_labels_are_those_of_the_phantom_and_masks_lie_within(made: tuple[DataOfVision, Path]) -> None:
    data, folder = made
    volumes = open_volumes(data, "train", folder)
    assert len(volumes) == 3 and [len(part) for part in volumes.shards] == [2, 1]
    for number, seed in enumerate(data.train.seeds):
        truth = {finding.label for finding in rendered(seed, dict(data.render)).truth}
        assert {label.key for label, there in zip(labels(), volumes.present[number], strict=True) if there} == truth
    assert volumes.slabs([2, 0]).shape == (2, SLABS, CHANNELS, PIXELS, PIXELS)
    assert (volumes.slabs([2])[0] == volumes.shards[1][0]).all()


def test_only_a_lost_shard_is_made_again_and_the_same(made: tuple[DataOfVision, Path]) -> None:
    data, folder = made
    first, second = jobs_of(data, "train", folder)
    before, kept = np.load(second.slabs).copy(), first.path.stat().st_mtime_ns
    second.path.unlink()  # as after a kill between the two files
    (folder / f".{second.path.name}.1.partial").write_bytes(b"half")
    lines: list[str] = []
    make_volumes(data, "train", folder, 1, lines.append)
    assert lines[0] == "train: 1 of 2 shards there, 1 to make"
    assert (np.load(second.slabs) == before).all() and first.path.stat().st_mtime_ns == kept


def test_missing_shards_are_said(made: tuple[DataOfVision, Path], tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="run the stage `data`"):
        open_volumes(made[0], "train", tmp_path)
