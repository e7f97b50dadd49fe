import io
import os
import struct
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from minidl.data import FormatError
from minidl.data.images import FORMATS, read_image
from minidl.errors import ArgumentError

RAMP = np.arange(64, dtype=np.uint8).reshape(8, 8)


def written(path, values, kind="PNG", **options):
    Image.fromarray(values).save(path, kind, **options)
    return path


@pytest.mark.parametrize("kind", FORMATS)
def test_every_format_is_read_whatever_the_name_says(tmp_path, kind):
    path = written(tmp_path / "image.any", RAMP, kind, **({"quality": 95} if "E" in kind else {}))
    image = read_image(path, (1, 8, 8))
    assert (image.dtype, image.shape) == (np.float32, (1, 8, 8))
    np.testing.assert_allclose(image[0], RAMP / 255, atol=4 / 255)


def test_colours_and_sizes_are_converted(tmp_path):
    red = np.zeros((4, 6, 3), np.uint8)
    red[..., 0] = 255
    path = written(tmp_path / "red.png", red)
    assert read_image(path, (3, 2, 3)).tolist() == [[[1.0] * 3] * 2] + [[[0.0] * 3] * 2] * 2
    np.testing.assert_allclose(read_image(path, (1, 4, 6)), 76 / 255, atol=1e-6)  # its luminance
    averaged = read_image(written(tmp_path / "ramp.png", RAMP), (1, 4, 4))
    np.testing.assert_allclose(
        averaged[0], RAMP.reshape(4, 2, 4, 2).mean((1, 3)) / 255, atol=0.51 / 255
    )


def test_16_bits_are_scaled_not_clipped(tmp_path):
    values = np.array([[0, 257, 32896, 65535]], np.uint16)
    path = written(tmp_path / "deep.png", values)
    np.testing.assert_allclose(read_image(path, (1, 1, 4))[0, 0] * 255, [0, 1, 128, 255])


def test_an_image_is_turned_as_its_exif_says(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was turned by 90°
    path = written(tmp_path / "turned.png", RAMP, exif=exif)
    np.testing.assert_array_equal(read_image(path, (1, 8, 8))[0] * 255, np.rot90(RAMP, -1))


@pytest.mark.parametrize(
    ("values", "words"),
    [
        (np.full((2, 2), 0.5, np.float32), "floating-point"),
        (np.full((2, 2), 70000, np.int32), "32 bits"),
    ],
)
def test_pixels_of_unknown_range_are_refused(tmp_path, values, words):
    path = written(tmp_path / "odd.tiff", values, "TIFF")
    with pytest.raises(FormatError, match=words):
        read_image(path, (1, 2, 2))


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF"])
def test_a_truncated_image_is_refused(tmp_path, kind):
    noise = np.random.default_rng(0).integers(0, 256, (64, 64), np.uint8)
    path = written(tmp_path / "image", noise, kind)
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(FormatError, match="not a sound image"):
        read_image(path, (1, 8, 8))


def test_a_bomb_takes_no_memory(tmp_path):
    """A GIF of 35 bytes that claims 4 · 10⁹ pixels."""
    buffer = io.BytesIO()
    Image.new("L", (1, 1)).save(buffer, "GIF")
    content = buffer.getvalue().replace(struct.pack("<HH", 1, 1), struct.pack("<HH", 65535, 65535))
    path = tmp_path / "bomb.gif"
    path.write_bytes(content)
    with pytest.raises(FormatError, match="pixels"):
        read_image(path, (1, 8, 8))


def test_the_limit_of_pixels_can_be_raised_or_lowered(tmp_path):
    path = written(tmp_path / "ramp.png", RAMP)
    with pytest.raises(FormatError, match=r"8 × 8 pixels, more than 63; .* raise `max_pixels`"):
        read_image(path, (1, 8, 8), max_pixels=63)
    assert read_image(path, (1, 8, 8), max_pixels=64).shape == (1, 8, 8)
    with pytest.raises(ArgumentError, match="max_pixels"):
        read_image(path, (1, 8, 8), max_pixels=0)


def test_postscript_starts_no_program(tmp_path):
    path = tmp_path / "image.png"
    path.write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\nshowpage\n")
    program = (
        "import sys\n"
        "from minidl.data.images import read_image\n"
        "from minidl.data import FormatError\n"
        "sys.addaudithook(lambda name, _: name == 'subprocess.Popen' and sys.exit(3))\n"
        "try:\n    read_image(sys.argv[1], (1, 8, 8))\n"
        "except FormatError as error:\n    print(error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(path)], capture_output=True, text=True, check=True
    )
    assert "is no image of BMP, GIF" in done.stdout


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes with names on this system")
def test_a_pipe_is_refused_at_once(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(OSError, match="is no file"):
        read_image(tmp_path / "pipe", (1, 8, 8))
