"""Convert the colours of a picture from its ICC profile to sRGB."""

from functools import lru_cache
from io import BytesIO

from PIL import Image, ImageCms

_KEPT = 16  # transforms; many images of a source have the same profile


def to_srgb(picture: Image.Image, profile: bytes) -> Image.Image | None:
    """Return the picture in mode RGB and in sRGB, or None if the profile cannot be applied to it.

    ``picture`` has mode L, RGB or CMYK. A profile that is sRGB itself changes no pixel.
    """
    try:
        transform = _transform(profile, picture.mode)
        return picture.convert("RGB") if transform is None else transform.apply(picture)
    except (ImageCms.PyCMSError, OSError, ValueError):  # OSError: not a profile at all
        return None


@lru_cache(_KEPT)
def _transform(profile: bytes, mode: str) -> ImageCms.ImageCmsTransform | None:
    source = ImageCms.getOpenProfile(BytesIO(profile))
    if ImageCms.getProfileDescription(source).startswith("sRGB"):
        return None
    return ImageCms.buildTransform(source, ImageCms.createProfile("sRGB"), mode, "RGB")
