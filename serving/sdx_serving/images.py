"""Images of a request: taken as data: URIs only, and no larger than memory bears. Start at image_of()."""

import base64
import io
import warnings

from PIL import Image, ImageOps

from sdx_serving.openai_protocol import Refusal

MAX_PIXELS = 40_000_000
"""Of one image, checked from its header: a small file may unpack to gigabytes."""
KINDS = ("JPEG", "PNG", "WEBP", "BMP", "GIF")


def image_of(url: str) -> Image.Image:
    """The RGB image in "data:image/png;base64,...", upright; of an animation its first picture.

    Raises:
        Refusal: an address to fetch, no image, or one too large.
    """
    if not url.startswith("data:"):
        raise Refusal(f"image_url {url[:60]!r}: images are not fetched; send data:image/png;base64,...", "unsupported_image_url")
    meta, _, data = url.partition(",")
    if not meta.endswith(";base64"):
        raise Refusal(f"image_url {meta[:60]!r}: its data are not base64; send data:image/png;base64,...", "unsupported_image_url")
    try:
        file = base64.b64decode(data, validate=True)
    except ValueError as error:
        raise Refusal(f"image_url: its data are not base64 ({error})", "invalid_image") from error
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(io.BytesIO(file), formats=KINDS) as image:
                return _upright(image)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise Refusal(f"image_url: not a {', '.join(KINDS)} image that can be read ({error})", "invalid_image") from error


def _upright(image: Image.Image) -> Image.Image:
    if image.width * image.height > MAX_PIXELS:
        raise Refusal(f"image_url: {image.width} x {image.height} pixels, at most {MAX_PIXELS} are taken: shrink it", "invalid_image")
    return ImageOps.exif_transpose(image).convert("RGB")
