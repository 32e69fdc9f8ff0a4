"""apparmor.txt is a profile that Supervisor can rename and the kernel can load."""

import re
import shutil
import subprocess
import unittest

from support import ROOT

PARSER = shutil.which("apparmor_parser", path="/usr/sbin:/sbin:/usr/bin:/bin")
PROFILE = ROOT / "apparmor.txt"


def is_accepted(text):
    result = subprocess.run(
        [PARSER, "--skip-kernel-load", "--skip-cache", "--skip-read-cache"],
        input=text, capture_output=True, text=True,
    )
    return result.returncode == 0


class AppArmor(unittest.TestCase):
    def test_profile_name_is_on_one_line(self):
        lines = PROFILE.read_text("utf-8").splitlines()
        self.assertEqual(len([line for line in lines if line.startswith("profile ")]), 1)

    @unittest.skipUnless(PARSER, "apparmor_parser is not installed")
    def test_parser_accepts_renamed_profile(self):
        text = PROFILE.read_text("utf-8")
        renamed = re.sub(r"^profile \S+", "profile 1a2b3c4d_wallcast", text, flags=re.M)
        self.assertTrue(is_accepted(text))
        self.assertTrue(is_accepted(renamed))
        self.assertFalse(is_accepted(text.replace("/data/** rwkl,", "/data/** rwkl")))

    def test_profile_allows_the_paths_of_image_and_options(self):
        text = PROFILE.read_text("utf-8")
        self.assertIn(f"{self.entrypoint()} mrix,", text)
        for rule in ("/data/** rwkl,", "/ssl/** r,", "/sbin/docker-init mrix,"):
            self.assertIn(rule, text)
        self.assertNotIn("capability", text)

    def entrypoint(self):
        dockerfile = (ROOT / "Dockerfile").read_text("utf-8")
        return re.search(r'^ENTRYPOINT \["([^"]+)"\]$', dockerfile, re.M)[1]


if __name__ == "__main__":
    unittest.main()
