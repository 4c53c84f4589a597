"""Makes images ready for a vision encoder, as its preprocessor_config.json says. Start at Preparation."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
from PIL import Image

from sdx_serving.onnx.folder import ModelError

_BICUBIC = 3


@dataclass(frozen=True, slots=True)
class Preparation:
    """What is done to an image, in this order."""

    size: Mapping[str, int] | None
    """To resize to: {"height", "width"}, or {"shortest_edge"}; None: not at all."""
    resample: int
    """As PIL counts: 0 nearest, 1 Lanczos, 2 bilinear, 3 bicubic."""
    crop: tuple[int, int] | None
    """Height and width cut out of the middle."""
    scale: float
    mean: tuple[float, ...]
    std: tuple[float, ...]

    @classmethod
    def of(cls, told: Mapping[str, Any], folder: Path) -> Self:
        """From preprocessor_config.json in `folder`. ModelError names what is missing."""
        path = folder / "preprocessor_config.json"
        size = _sides(told.get("size")) if told.get("do_resize", True) else None
        crop = _sides(told.get("crop_size")) if told.get("do_center_crop", False) else None
        if not told or not (size or crop) or (size and set(size) not in ({"height", "width"}, {"shortest_edge"})):
            raise ModelError(
                f"{path}: size is {told.get('size')!r}, wanted is height and width, or shortest_edge: copy the model's own file"
            )
        plain = not told.get("do_normalize", True)
        edge = size.get("shortest_edge", 0) if size else 0
        if edge and (crop is None or min(crop["height"], crop["width"]) > edge):
            raise ModelError(f"{path}: with shortest_edge {edge} a crop_size within it is needed")
        return cls(
            size=size,
            resample=int(told.get("resample", _BICUBIC)),
            crop=(crop["height"], crop["width"]) if crop else None,
            scale=float(told.get("rescale_factor", 1 / 255)) if told.get("do_rescale", True) else 1.0,
            mean=tuple([0.0] * 3 if plain else told["image_mean"]),
            std=tuple([1.0] * 3 if plain else told["image_std"]),
        )

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width of what the model gets."""
        return self.crop or (self.size["height"], self.size["width"])  # type: ignore[index]

    def check_fits(self, shape: list[Any]) -> None:
        """ModelError when the graph wants other sizes. `shape`: (images, 3, height, width), names where it is open."""
        if any(isinstance(wanted, int) and wanted != ours for wanted, ours in zip(shape[2:], self.shape, strict=True)):
            raise ModelError(f"preprocessor_config.json makes images of {self.shape}, the graph wants {shape[2:]}")

    def pixels(self, image: Image.Image) -> np.ndarray:
        """(3, height, width) float32."""
        if self.size:
            image = image.resize(self._resized(image), Image.Resampling(self.resample))
        if self.crop:
            height, width = self.crop
            left, top = (image.width - width) // 2, (image.height - height) // 2
            image = image.crop((left, top, left + width, top + height))
        values = np.asarray(image, np.float32) * np.float32(self.scale)
        return ((values - np.array(self.mean, np.float32)) / np.array(self.std, np.float32)).transpose(2, 0, 1).astype(np.float32)

    def _resized(self, image: Image.Image) -> tuple[int, int]:
        """Width and height."""
        assert self.size
        if "width" in self.size:
            return self.size["width"], self.size["height"]
        edge, short = self.size["shortest_edge"], min(image.size)
        return (
            edge if image.width == short else edge * image.width // short,
            edge if image.height == short else edge * image.height // short,
        )


def _sides(told: Any) -> Mapping[str, int] | None:
    """A number means a square."""
    return {"height": told, "width": told} if isinstance(told, int) else told if isinstance(told, Mapping) else None
