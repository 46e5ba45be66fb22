"""A test case that runs the daxfuzz command in a folder of its own; the tests of the command and of its reports share it."""
import os
import pathlib
import subprocess
import tempfile
import unittest


class CommandCase(unittest.TestCase):
    daxfuzz_path = None  # set by the script

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.cwd = folder.name

    def path(self, name, text=None):
        path = os.path.join(self.cwd, name)
        if text is not None:
            pathlib.Path(path).write_text(text, encoding="utf-8")
        return path

    def daxfuzz(self, *arguments, expect=0, stdin=b""):
        """Runs it and gives back what it prints; self.errors has its stderr. `expect`: one exit code or a tuple."""
        done = subprocess.run([self.daxfuzz_path, *arguments], cwd=self.cwd, input=stdin, timeout=300,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False)
        self.assertIn(done.returncode, expect if isinstance(expect, tuple) else (expect,),
                      (done.stdout[-2000:], done.stderr[-2000:]))
        self.errors = done.stderr.decode(errors="replace")
        return done.stdout.decode(errors="replace")
