"""icon.png and logo.png: of the size that the store wants, and what the script draws."""

import sys
import tempfile
import unittest
from pathlib import Path

from PIL import Image, ImageChops

from support import ROOT

sys.path.insert(0, str(ROOT / "packaging"))
import draw  # noqa: E402


class Pictures(unittest.TestCase):
    def test_sizes(self):
        for name, size in (("icon.png", (128, 128)), ("logo.png", (250, 100))):
            with Image.open(ROOT / name) as picture:
                self.assertEqual((picture.format, picture.size), ("PNG", size))

    def test_the_script_draws_them(self):
        with tempfile.TemporaryDirectory() as folder:
            draw.main(Path(folder))
            for name in ("icon.png", "logo.png"):
                with Image.open(ROOT / name) as kept, Image.open(Path(folder) / name) as drawn:
                    difference = ImageChops.difference(kept.convert("RGBA"), drawn.convert("RGBA"))
                    self.assertIsNone(difference.getbbox(alpha_only=False), f"{name}: run `make art`")

    def test_nothing_is_cut_off(self):
        with Image.open(ROOT / "logo.png") as logo:
            left, top, right, bottom = logo.getbbox()
        self.assertTrue(0 < left and 0 < top and right < 250 and bottom < 100)


if __name__ == "__main__":
    unittest.main()
