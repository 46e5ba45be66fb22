"""What the checks look at: a copy of the tree, built as services build it, or a build directory of ours; and its jail."""
import os
import shutil
import subprocess
import zipfile

from . import engines, service, tree
from .jail import Jail
from .report import need, tail

SEED_FOLDERS = ("corpus/seeds", "corpus/regress", "corpus/bugs")


class Built:
    """A target that is there, with $OUT made from it: for what targets do, not for how they were built."""

    def __init__(self, root, folder):
        self.sanitizer = "built"
        self.engine = "libfuzzer"
        self.engine_seconds = 0
        self.tree = root
        self.tools = os.path.abspath(folder)
        self.work = os.path.join(self.tools, "oss-fuzz-check")
        self.out = os.path.join(self.work, "out")
        self.note = ""
        self.jail = None
        self.targets = []
        self.options = "detect_stack_use_after_return=0"  # as corpus_files has it

    def build(self):
        shutil.rmtree(self.work, ignore_errors=True)
        seeds = os.path.join(self.work, "seeds")
        os.makedirs(seeds)
        os.makedirs(self.out)
        for target in ("syscalls_fuzzer", "xarray_fuzzer", "image_fuzzer"):
            need(os.path.exists(os.path.join(self.tools, target)), f"{self.tools} has no {target}: cmake --build {self.tools}")
            shutil.copy(os.path.join(self.tools, target), self.out)
        files = [os.path.join(folder, name) for top in SEED_FOLDERS for folder, _, names in os.walk(os.path.join(self.tree, top))
                 for name in names if name.endswith(".txt")]
        subprocess.run([os.path.join(self.tools, "corpus_files"), "pack", seeds, *sorted(files)], check=True)
        subprocess.run([os.path.join(self.tools, "corpus_files"), "seeds", seeds], check=True)
        self.zip_seeds("syscalls_fuzzer", seeds)
        self.zip_seeds("xarray_fuzzer", os.path.join(self.tree, "corpus/xarray"))
        self.zip_seeds("image_fuzzer", os.path.join(self.tree, "corpus/images"))
        self.enter()

    def zip_seeds(self, target, folder):
        with zipfile.ZipFile(os.path.join(self.out, target + "_seed_corpus.zip"), "w") as archive:
            for name in sorted(os.listdir(folder)):
                if os.path.isfile(os.path.join(folder, name)) and name != "README.md":
                    archive.write(os.path.join(folder, name), name)

    def enter(self):
        """Finds the targets in $OUT as services do, moves $OUT to the jail, and unpacks the seeds there."""
        for name in sorted(os.listdir(self.out)):
            path = os.path.join(self.out, name)
            with open(path, "rb") as file:
                if os.access(path, os.X_OK) and b"LLVMFuzzerTestOneInput" in file.read():
                    self.targets.append(name)
        self.jail = Jail(self.out)
        for target in self.targets:
            with zipfile.ZipFile(os.path.join(self.out, target + "_seed_corpus.zip")) as seeds:
                seeds.extractall(self.seeds_here(target))

    def seeds_here(self, target):
        return self.jail.path(target + "_corpus")[0]

    def seeds(self, target):
        return self.jail.path(target + "_corpus")[1]

    def bug_program(self, bug):
        """The bug's program in binary form, with parts that do not matter."""
        with open(os.path.join(self.tree, "corpus/bugs", bug, "program.txt"), encoding="utf-8") as file:
            text = file.read()
        text += "  sync\n  statfs \"f0\"\ntask T2 in P0\n  mkdir \"d1\"\n"
        padded, packed = (os.path.join(self.work, name) for name in ("padded.txt", "padded"))
        with open(padded, "w", encoding="utf-8") as file:
            file.write(text)
        os.makedirs(packed, exist_ok=True)
        for name in os.listdir(packed):
            os.unlink(os.path.join(packed, name))
        subprocess.run([os.path.join(self.tools, "corpus_files"), "pack", packed, padded], check=True, stderr=subprocess.DEVNULL)
        return os.path.join(packed, os.listdir(packed)[0])

    def say(self, note):
        self.note = f"{self.note}; {note}" if self.note else note  # one for each target

    def close(self):
        if self.jail:
            self.jail.close()


class Build(Built):
    """A copy of the tree, built by ci/oss-fuzz/build.sh with the services' variables."""

    def __init__(self, root, sanitizer, engine, engine_seconds, plant, folder):
        src = os.path.join(folder, "src")
        super().__init__(os.path.join(src, "daxfuzz"), folder)
        name = sanitizer if engine == "libfuzzer" else f"{sanitizer}-{engine}"
        self.sanitizer = sanitizer
        self.engine = engine
        self.engine_seconds = engine_seconds
        self.work = os.path.join(folder, name, "work")
        self.tools = os.path.join(self.work, "build")
        self.out = os.path.join(folder, name, "out")
        self.log = os.path.join(folder, name, "build.log")
        for path in (self.tree, self.work, self.out):
            os.makedirs(path, exist_ok=True)
        tree.sync(root, self.tree, plant)
        for name in os.listdir(self.out):
            os.unlink(os.path.join(self.out, name))
        self.environment = service.build_environment(sanitizer, src, self.work, self.out, engines.ENGINES[engine], engine,
                                                     engines.library(engine, self.work))

    def build(self):
        engines.missing(self.engine)
        with open(self.log, "wb") as log:
            done = subprocess.run(["bash", "-eux", os.path.join(self.tree, "ci/oss-fuzz/build.sh")], cwd=self.tree,
                                  env=self.environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log, check=False)
        with open(self.log, encoding="utf-8", errors="replace") as log:
            need(done.returncode == 0, f"build.sh failed (whole log: {self.log}): {tail(log.read(), 6)}")
        self.enter()
