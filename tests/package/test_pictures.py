"""icon.png and logo.png have the sizes that the store requires, and equal what packaging/draw.py draws."""

import sys
import tempfile
import unittest
from pathlib import Path

from PIL import Image, ImageChops

from support import ROOT

sys.path.insert(0, str(ROOT / "packaging"))
import draw  # noqa: E402


class Pictures(unittest.TestCase):
    def test_sizes_are_those_of_the_store(self):
        for name, size in (("icon.png", (128, 128)), ("logo.png", (250, 100))):
            with Image.open(ROOT / name) as picture:
                self.assertEqual((picture.format, picture.size), ("PNG", size))

    def test_pictures_equal_the_scripts_output(self):
        with tempfile.TemporaryDirectory() as folder:
            draw.main(Path(folder))
            for name in ("icon.png", "logo.png"):
                with Image.open(ROOT / name) as kept, Image.open(Path(folder) / name) as drawn:
                    difference = ImageChops.difference(kept.convert("RGBA"), drawn.convert("RGBA"))
                    self.assertIsNone(difference.getbbox(alpha_only=False), f"{name}: run `make art`")

    def test_logo_is_not_cut_off(self):
        with Image.open(ROOT / "logo.png") as logo:
            left, top, right, bottom = logo.getbbox()
        self.assertTrue(0 < left and 0 < top and right < 250 and bottom < 100)


if __name__ == "__main__":
    unittest.main()
