"""Tests of a guest's files, and of how its console is read. CI boots no guest."""

import sys
import tempfile
import unittest
from pathlib import Path

sys.dont_write_bytecode = True

import guest
import initramfs
import kernel


class Initramfs(unittest.TestCase):
    def test_a_program_brings_its_libraries_and_its_loader(self):
        listed = initramfs.files({"/bin/tool": "/bin/tar"}, [("/command", __file__)])
        places = [place for place, _ in listed]
        self.assertEqual(sorted(set(places)), places)
        self.assertIn(("/bin/tool", "/bin/tar"), listed)
        self.assertIn(("/command", __file__), listed)
        self.assertTrue(any(place.endswith("/libc.so.6") for place in places), places)
        self.assertTrue(any("/ld-linux" in place for place in places), places)
        for _, source in listed:
            self.assertTrue(Path(source).exists(), source)

    def test_a_file_that_is_no_program_brings_nothing(self):
        self.assertEqual(initramfs.files({"/files/text": __file__}), [("/files/text", __file__)])


class Kernel(unittest.TestCase):
    def test_the_newest_is_the_one_with_the_greatest_numbers(self):
        self.assertLess(kernel.version_key("linux-image-6.1.0-9-cloud-amd64-unsigned"),
                        kernel.version_key("linux-image-6.1.0-57-cloud-amd64-unsigned"))

    def test_text_is_no_kernel(self):
        with tempfile.NamedTemporaryFile() as file:
            file.write(bytes(0x202) + b"HdrX")
            file.flush()
            self.assertFalse(guest.is_kernel(file.name))
            file.seek(0x202)
            file.write(b"HdrS")
            file.flush()
            self.assertTrue(guest.is_kernel(file.name))

    def test_what_a_kernel_says_of_itself_is_noticed(self):
        console = (b"[1.0] Linux version 6.1\r\n[1.5] traps: prog[7] general protection fault ip:40 sp:50 error:0\r\n"
                   b"[2.0] BUG: unable to handle page fault for address: 0\r\n"
                   b"[2.1] Oops: 0000 [#1] SMP\r\n[3.0] Kernel panic - not syncing: Attempted to kill init!\r\n")
        self.assertEqual(guest.problems_in(console),
                         ["BUG: unable to handle page fault for address: 0", "Oops: 0000 [#1] SMP",
                          "Kernel panic - not syncing: Attempted to kill init!"])


if __name__ == "__main__":
    unittest.main()
