"""Draws icon.png and logo.png for Home Assistant's store. Run it with `make art`.

It computes all strokes and shapes without a font or another image, so that the same version of Pillow always
gives the same bytes. Coordinates are pixels of the finished picture.
"""

import math
import sys
from pathlib import Path

from PIL import Image, ImageDraw

# The pictures are drawn this many times larger and then scaled down, for smooth edges.
SCALE = 8
TEAL = (11, 110, 95, 255)
WHITE = (255, 255, 255, 255)
# A contrast above 4:1 on Home Assistant's white and on its dark grey background.
WORD = (20, 141, 121, 255)


class Canvas:
    """A transparent picture, drawn larger by SCALE."""

    def __init__(self, width, height):
        self.size = (width, height)
        self.image = Image.new("RGBA", (width * SCALE, height * SCALE), (0, 0, 0, 0))
        self.pen = ImageDraw.Draw(self.image)

    def square(self, x, y, side, radius, colour):
        box = [v * SCALE for v in (x, y, x + side, y + side)]
        self.pen.rounded_rectangle(box, radius * SCALE, fill=colour)

    def shape(self, points, colour, round_by=0):
        """Draws a filled polygon. A stroke around it rounds its corners."""
        self.pen.polygon([(x * SCALE, y * SCALE) for x, y in points], fill=colour)
        if round_by:
            self.stroke([*points, points[0]], 2 * round_by, colour)

    def stroke(self, points, width, colour):
        """Draws a line through the points, with round ends and corners."""
        scaled = [(x * SCALE, y * SCALE) for x, y in points]
        self.pen.line(scaled, fill=colour, width=round(width * SCALE))
        radius = width * SCALE / 2
        for x, y in scaled:
            self.pen.ellipse([x - radius, y - radius, x + radius, y + radius], fill=colour)

    def finish(self):
        # Premultiplied alpha, so that edges do not darken towards transparent black.
        small = self.image.convert("RGBa").resize(self.size, Image.Resampling.BOX)
        return small.convert("RGBA")


def arc(x, y, radius, start, end):
    """Points of an arc around (x, y); degrees, 0 is right and 90 is down."""
    steps = max(2, math.ceil(abs(end - start) / 2))
    angles = (math.radians(start + (end - start) * i / steps) for i in range(steps + 1))
    return [(x + radius * math.cos(a), y + radius * math.sin(a)) for a in angles]


def mark(canvas, x, y, side):
    """Draws the mark: a house with radio waves on a teal tile."""
    unit = side / 128

    def at(points):
        return [(x + px * unit, y + py * unit) for px, py in points]

    canvas.square(x, y, side, 28 * unit, TEAL)
    house = [(64, 33), (100, 63), (94, 63), (94, 98), (34, 98), (34, 63), (28, 63)]
    canvas.shape(at(house), WHITE, round_by=5 * unit)
    for radius in (16, 30):
        canvas.stroke(at(arc(64, 91, radius, 222, 318)), 7 * unit, TEAL)
    canvas.shape(at(arc(64, 91, 5.5, 0, 360)), TEAL)


def word(canvas, x, base, height, width, colour):
    """Draws "Wallcast" in strokes. `height` is the x-height, `base` the y of the baseline."""
    r = height / 2
    middle, top = base - r, base - 1.62 * height

    def bowl(left):
        return arc(left + r, middle, r, 0, 360)

    def small_a(left):
        return [bowl(left), [(left + 2 * r, base - 2 * r), (left + 2 * r, base)]], 2 * r

    def small_l(left):
        # Two adjacent stems need more space than a stem and a bowl.
        stem = left + 0.14 * r
        return [[(stem, top), (stem, base)]], 0.28 * r

    def small_c(left):
        return [arc(left + r, middle, r, 315, 45)], 1.72 * r

    def small_s(left):
        half, wide = r / 2, 0.62 * r
        upper = [(left + wide + wide * c, middle - half + half * s) for c, s in circle(-35, -270)]
        lower = [(left + wide + wide * c, middle + half + half * s) for c, s in circle(-90, 145)]
        return [upper + lower], 2 * wide

    def small_t(left):
        stem, bend = left + 0.5 * r, 0.4 * r
        foot = [*arc(stem + bend, base - bend, bend, 180, 90), (stem + 0.62 * r, base)]
        bar = [(left, base - 2 * r), (left + 1.1 * r, base - 2 * r)]
        return [[(stem, base - 1.42 * height), *foot], bar], 1.1 * r

    def large_w(left):
        step = 0.72 * r
        feet = [(0, top), (1, base), (2, top + 0.34 * height), (3, base), (4, top)]
        return [[(left + i * step, y) for i, y in feet]], 4 * step

    gap = 0.48 * r + width / 2 + 1
    for letter in (large_w, small_a, small_l, small_l, small_c, small_a, small_s, small_t):
        strokes, advance = letter(x)
        for points in strokes:
            canvas.stroke(points, width, colour)
        x += advance + gap
    return x - gap


def circle(start, end):
    """Cosine and sine along an arc, in degrees."""
    return arc(0, 0, 1, start, end)


def icon():
    canvas = Canvas(128, 128)
    mark(canvas, 0, 0, 128)
    return canvas.finish()


def logo():
    canvas = Canvas(250, 100)
    mark(canvas, 2, 19, 62)
    word(canvas, 78, 63, 19.4, 4.6, WORD)
    return canvas.finish()


def main(folder):
    icon().save(folder / "icon.png", optimize=True)
    logo().save(folder / "logo.png", optimize=True)


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else Path(__file__).parent.parent))
