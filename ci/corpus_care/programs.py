"""Programs in folders: packing, and merging by what they show."""
import os
import re
import shutil
import subprocess
import tempfile
import zipfile


class Broken(Exception):
    pass


class Tools:
    """The programs of a build directory."""

    def __init__(self, build):
        self.build = build

    def path(self, name):
        path = os.path.join(self.build, name)
        if not os.path.exists(path):
            raise Broken(f"{path} is not there: cmake --preset release && cmake --build build/release --target {name}")
        return path

    def run(self, name, *arguments):
        done = subprocess.run([self.path(name), *arguments], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, errors="replace", check=False)
        if done.returncode != 0:
            raise Broken(f"{name} {' '.join(arguments[:2])}... ended with {done.returncode}: {done.stdout[-500:]}")
        return done.stdout


def is_program(path):
    """What a corpus folder holds beside programs stays out: notes, tables, inputs of the other targets as text."""
    if re.search(r"\.(md|json|zip|html)$", path):
        return False
    with open(path, "rb") as file:
        return not file.read(16).startswith((b"daxfuzz image", b"xarray fanout"))


def files_of(folders):
    found = []
    for top in folders:
        if not os.path.exists(top):
            raise Broken(f"{top} is not there")
        if os.path.isfile(top):
            found.append(top)
        for folder, _, names in os.walk(top):
            found += [path for path in (os.path.join(folder, name) for name in names) if is_program(path)]
    return sorted(found)


def packed(tools, folders, into):
    """Every program of the folders in binary form, once, named by its bytes. RETURNS: how many."""
    files = files_of(folders)
    if not files:
        raise Broken(f"no program in {' '.join(folders)}")
    for begin in range(0, len(files), 500):
        tools.run("corpus_files", "pack", into, *files[begin:begin + 500])
    return len(os.listdir(into))


def merge(tools, out, folders):
    """RETURNS: (programs added, programs there). What is in `out` stays as it is."""
    os.makedirs(out, exist_ok=True)
    with tempfile.TemporaryDirectory() as new, tempfile.TemporaryDirectory() as kept, tempfile.TemporaryDirectory() as named:
        packed(tools, folders, new)
        if files_of([out]):
            packed(tools, [out], kept)
        had = set(os.listdir(kept))
        for name in had & set(os.listdir(new)):
            os.unlink(os.path.join(new, name))
        tools.run("syscalls_fuzzer", "-merge=1", "-timeout=100", kept, new)
        packed(tools, [kept], named)  # libFuzzer has names of its own
        added = sorted(set(os.listdir(named)) - had)
        for name in added:
            shutil.copy(os.path.join(named, name), out)
    return len(added), len(files_of([out]))


def minimize(tools, folder):
    """RETURNS: (before, after). Files that are not needed go; the others are in binary form afterwards."""
    before = len(files_of([folder]))
    with tempfile.TemporaryDirectory() as all_of_it, tempfile.TemporaryDirectory() as kept, \
            tempfile.TemporaryDirectory() as named:
        packed(tools, [folder], all_of_it)
        tools.run("syscalls_fuzzer", "-merge=1", "-set_cover_merge=1", "-timeout=100", kept, all_of_it)
        if not os.listdir(kept):
            raise Broken(f"nothing of {folder} would be left; it stays as it is")
        after = packed(tools, [kept], named)
        for path in files_of([folder]):
            os.unlink(path)
        for name in os.listdir(named):
            shutil.copy(os.path.join(named, name), folder)
    return before, after


def pack(tools, folders, output):
    """RETURNS: how many programs. The same bytes for the same programs."""
    with tempfile.TemporaryDirectory() as into:
        count = packed(tools, folders, into)
        with zipfile.ZipFile(output, "w", zipfile.ZIP_DEFLATED) as archive:
            for name in sorted(os.listdir(into)):
                entry = zipfile.ZipInfo(name, date_time=(1980, 1, 1, 0, 0, 0))
                with open(os.path.join(into, name), "rb") as file:
                    archive.writestr(entry, file.read(), zipfile.ZIP_DEFLATED)
    return count
