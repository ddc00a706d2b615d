"""Make PNG files smaller: 64 colours are enough for a chart. `python shrink.py guide/*.png`."""

import sys

from PIL import Image


def shrink(path: str) -> None:
    """Write the image again, with a palette."""
    image = Image.open(path).convert("RGB")
    image.quantize(64, dither=Image.Dither.NONE).save(path, optimize=True)


if __name__ == "__main__":
    for path in sys.argv[1:]:
        shrink(path)
