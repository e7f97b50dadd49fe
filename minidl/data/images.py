"""Reading image files through Pillow.

Pillow opens some forty formats; a few of them start other programs (EPS runs Ghostscript) or are
hardly ever tested.  Only those of FORMATS are opened, whatever the name of a file says, and no
image of more than `max_pixels`: a file of some kilobytes can hold billions of them.
"""

import os
import warnings
from typing import Any

import numpy as np

from minidl.checks import check_integers
from minidl.data.errors import FormatError
from minidl.errors import ArgumentError, path_of
from minidl.files import open_regular

FORMATS = "BMP", "GIF", "JPEG", "PNG", "PPM", "TIFF", "WEBP"
MAX_PIXELS = 1 << 26
_LARGEST_16_BITS = 65535


def read_image(
    path: str | os.PathLike[str], shape: tuple[int, int, int], *, max_pixels: int = MAX_PIXELS
) -> np.ndarray:
    """The image in a file, float32 from 0 to 1, converted to `shape`, (channels, height, width).

    channels     1, grey, or 3, RGB
    max_pixels   the most pixels that an image may have, by default 2²⁶, 8192 × 8192

    The first frame of an animation is read, and turned upright as its EXIF orientation says.  It is
    resized by averaging (Pillow's BOX filter).  A file that is damaged, truncated, too large, or of
    another format than FORMATS, is a FormatError; without Pillow, ArgumentError.
    """
    path = path_of("read_image", path)
    check_integers("read_image", 1, max_pixels=max_pixels)
    channels, height, width = shape
    try:
        from PIL import Image, ImageOps, UnidentifiedImageError
    except ImportError:
        raise ArgumentError(
            f'{path}: reading images needs Pillow; pip install "minidl[images]"'
        ) from None
    with open_regular(path) as file, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of Pillow, about files that it can read nevertheless
        try:
            with Image.open(file, formats=FORMATS) as image:
                if image.width * image.height > max_pixels:
                    raise FormatError(
                        f"{image.width} × {image.height} pixels, more than {max_pixels:,}; "
                        "if you trust it, raise `max_pixels`"
                    )
                upright = ImageOps.exif_transpose(_with_8_bits(image))
            grey_or_rgb = upright.convert("L" if channels == 1 else "RGB")
            resized = grey_or_rgb.resize((width, height), Image.Resampling.BOX)
            values = np.asarray(resized, np.float32) / 255
        except UnidentifiedImageError:
            raise FormatError(
                f"{path}: is no image of {', '.join(FORMATS)}, or its beginning is damaged"
            ) from None
        except Exception as error:  # its decoders raise many types
            reason = str(error) or type(error).__name__
            raise FormatError(f"{path}: not a sound image: {reason}") from None
    return np.moveaxis(values.reshape(height, width, channels), 2, 0)


def _with_8_bits(image: Any) -> Any:
    """An image of 16 bits a pixel in 8: `convert` would clip its values at 255."""
    from PIL import Image

    if not image.mode.startswith("I"):
        if image.mode == "F":
            raise FormatError("floating-point pixels, whose range is unknown")
        return image
    values = np.asarray(image)
    if values.size and not 0 <= values.min() <= values.max() <= _LARGEST_16_BITS:
        raise FormatError("pixels of 32 bits, whose range is unknown")
    reduced = Image.fromarray((values / (_LARGEST_16_BITS / 255) + 0.5).astype(np.uint8))
    reduced.info = image.info
    return reduced
