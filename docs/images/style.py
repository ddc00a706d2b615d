"""The one style of all figures: palette, a fixed colour per model, fonts, labels at the lines."""

from io import BytesIO
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
from PIL import Image

BLUE, ORANGE, GREEN, PINK = "#0072B2", "#D55E00", "#009E73", "#CC79A7"
YELLOW, SKY, BLACK, GREY = "#E69F00", "#56B4E9", "#000000", "#7f7f7f"
PALE = "#d9d9d9"
"""Colour of what is only there for comparison: all other points, a grid, a frame."""

CYCLE = (BLUE, ORANGE, GREEN, PINK, SKY, YELLOW, BLACK)
"""Okabe and Ito's colours (2008), which the colour-blind tell apart, in the order of use."""

CLASSES = (*CYCLE, "#999933", "#882255", "#332288")
"""Ten colours, for the ten digits; label them in place as well."""

MODELS = {
    "ours": BLUE,
    "second": ORANGE,
    "third": GREEN,
    "PCA": GREY,
    "linear": GREY,
    "mean": GREY,
    "forest": YELLOW,
    "boosting": PINK,
    "alone": SKY,
}
"""The same model has the same colour in every figure."""

SHEET = str(Path(__file__).parent / "house.mplstyle")
"""The settings of all figures of the site: of these scripts, and of the gallery, which the build draws with it."""


def use() -> None:
    """Switch the style on for what is drawn from now on."""
    plt.style.use(SHEET)


def label_line(axes: Any, text: str, colour: str, *, x: float, y: float, **options: Any) -> None:
    """Write the name of a line or a group where it lies, in its colour, instead of a legend."""
    axes.text(x, y, text, **{"color": colour, "fontsize": 8.5, "fontweight": "bold", "va": "center", **options})


def label_bars(axes: Any, bars: Any, form: str = "{:.2f}") -> None:
    """Write each bar's value at its end; the axis of values can then be left out."""
    axes.bar_label(bars, fmt=form, padding=3, fontsize=8, color="0.25")


def images(axes: Any, rows: Any, shape: tuple[int, int], n_columns: int, **options: Any) -> None:
    """Draw rows that are images side by side on one pair of axes, without ticks or frame."""
    gap = 1
    height, width = shape
    for place, row in enumerate(rows):
        top, left = (place // n_columns) * (height + gap), (place % n_columns) * (width + gap)
        extent = (left, left + width, top + height, top)
        axes.imshow(row.reshape(shape), extent=extent, **{"vmin": 0, "vmax": float(rows.max()), **options})
    n_rows = -(-len(rows) // n_columns)
    axes.set(xlim=(0, n_columns * (width + gap) - gap), ylim=(n_rows * (height + gap) - gap, 0), xticks=[], yticks=[])
    axes.spines[:].set_visible(False)


def reduced(image: Image.Image) -> Image.Image:
    """Return an image with a palette that keeps rare colours, such as those of small points, as they are."""
    return image.quantize(256, Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE)


def save(figure: Any, name: str, *, palette: bool = True) -> None:
    """Write a figure beside this file, as a small file with a palette: `save(figure, "guide/intervals.png")`."""
    path = Path(__file__).parent / name
    path.parent.mkdir(parents=True, exist_ok=True)
    drawn = BytesIO()
    figure.savefig(drawn)
    image = Image.open(drawn).convert("RGB")
    (reduced(image) if palette else image).save(path, optimize=True)
