#!/usr/bin/env python3
"""Makes the image templates with mke2fs and writes them as one C++ source.

usage: make_templates.py OUT.cc

Every template is reproducible byte for byte: fixed UUID, hash seed and clock. Free blocks hold 0xDB, so that a read that
exposes one shows (oracle O16). The root directory carries the DAX flag, which new files inherit; the files g0..g5 exist
without it, so that with dax=inode both kinds lie side by side.

In "files" the usual names are there already, with blocks: short programs start in the middle of a file's life instead of
making one. See FILLED_FILES.
"""
import os
import re
import subprocess
import sys
import tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BLOCK = 4096
POISON = 0xDB  # daxfs::kStaleByte of fs/base/types.h

# name: (size in blocks, extra mke2fs arguments)
TEMPLATES = {
    "small": (512, ["-N", "32", "-O", "^has_journal,^resize_inode"]),
    "default": (4096, []),
    "csum": (2048, ["-N", "64", "-O", "^has_journal,^resize_inode,metadata_csum_seed"]),
    "nocsum": (512, ["-N", "32", "-O", "^has_journal,^resize_inode,^metadata_csum"]),
    "huge": (4096, ["-N", "64", "-O", "^has_journal,^resize_inode", "-E", "stride=512,stripe_width=512"]),
    "tiny": (128, ["-N", "32", "-O", "^has_journal,^resize_inode"]),
    "files": (1024, ["-N", "32", "-O", "^has_journal,^resize_inode"]),
    "maps": (1024, ["-N", "32", "-O", "^has_journal,^resize_inode,^extent,^64bit"]),
}
NO_EXTENTS = {"maps"}  # whose files have block maps; else as "files"; what would be unwritten is a hole
TIMES = ["atime", "ctime", "mtime", "crtime"]
PLAIN_FILES = ["g0", "g1", "g2", "g3", "g4", "g5"]
# Of the templates "files" and "maps": name: (blocks: "written", "unwritten" or "hole", DAX flag). fuzz/exec/templates.h says the same.
SPARSE_FILE = "f4"  # every other block is written: a tree with a node
FILLED_FILES = {
    "f0": ("written", True), "f1": ("unwritten", True), "f2": ("hole", True), "f3": ("written", True),
    SPARSE_FILE: ("sparse", True), "g0": ("written", False), "g1": ("unwritten", False), "g2": ("hole", False),
}
# And what names need to meet each other: a directory with a file, an empty one, a link to the first; and a file of many extents.
FILLED_DIRS = {"d0": ["f0"], "d0/d1": [], "d1": []}
# The long names leave room for one short one in the directory's block: the next makes it grow.
LONG_NAMES = [letter * 255 for letter in "abcdefghijklmop"] + ["q" * 43]
FILLED_HARD_LINKS = {link: "d0/f0" for link in ["d0/f1", *(f"d0/{name}" for name in LONG_NAMES)]}
FILLED_LINKS = {"l0": "d0"}
FILLED_BLOCKS = 16
FILLED_BYTE = b"\x66"
DAX_AND_EXTENTS, EXTENTS = 0x2080000, 0x80000


def execute(command):
    environment = dict(os.environ, E2FSPROGS_FAKE_TIME="1767225600", PATH=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")
    return subprocess.run(command, env=environment, capture_output=True, text=True)


def run(*command):
    done = execute(command)
    if done.returncode != 0:
        sys.exit(f"{sys.argv[0]}: {' '.join(command)} failed:\n{done.stdout}{done.stderr}")
    return done.stdout


def put_file(path, content):
    with open(path, "wb") as file:
        if content == "sparse":
            for block in range(0, FILLED_BLOCKS, 2):
                file.seek(block * BLOCK)
                file.write(FILLED_BYTE * BLOCK)
            file.truncate(FILLED_BLOCKS * BLOCK)
        elif content == "written":
            file.write(FILLED_BYTE * (FILLED_BLOCKS * BLOCK))
        elif content:
            file.truncate(FILLED_BLOCKS * BLOCK)
    os.utime(path, (1767225600, 1767225600))
    os.chmod(path, 0o644)


def make_template(path, name):
    blocks, extra = TEMPLATES[name]
    filled = FILLED_FILES if name in ("files", "maps") else {}
    extents = 0 if name in NO_EXTENTS else EXTENTS
    dax = DAX_AND_EXTENTS & ~EXTENTS | extents
    with open(path, "wb") as image:
        image.truncate(blocks * BLOCK)
    options = "hash_seed=00112233-4455-6677-8899-aabbccddeeff,lazy_itable_init=0,lazy_journal_init=0,root_owner=0:0"
    extended = [options]
    rest = list(extra)
    if "-E" in rest:
        at = rest.index("-E")
        extended.append(rest[at + 1])
        del rest[at:at + 2]
    names = sorted({*PLAIN_FILES, *filled})
    with tempfile.TemporaryDirectory() as tree:
        for name in names:
            put_file(os.path.join(tree, name), filled.get(name, ("", False))[0])
        inner = []
        if filled:
            for directory, files in FILLED_DIRS.items():
                os.mkdir(os.path.join(tree, directory), 0o755)
                for file in files:
                    put_file(os.path.join(tree, directory, file), "")
                os.utime(os.path.join(tree, directory), (1767225600, 1767225600))
                inner += [directory, *(f"{directory}/{file}" for file in files)]
            for link, target in FILLED_HARD_LINKS.items():
                os.link(os.path.join(tree, target), os.path.join(tree, link))
            for link, target in FILLED_LINKS.items():
                os.symlink(target, os.path.join(tree, link))
                os.utime(os.path.join(tree, link), (1767225600, 1767225600), follow_symlinks=False)
                inner.append(link)
        os.utime(tree, (1767225600, 1767225600))
        run("mke2fs", "-q", "-F", "-t", "ext4", "-b", str(BLOCK), "-U", "deadbeef-0000-4000-8000-00000000da0f",
            "-E", ",".join(extended), "-d", tree, *rest, path)
    commands = f"sif / flags {dax:#x}\nsif / uid 0\nsif / gid 0\n"
    for name, (content, wants_dax) in filled.items():
        commands += f"sif {name} flags {dax if wants_dax else extents:#x}\n"
        if content == "unwritten" and extents:
            commands += f"fallocate {name} 0 {FILLED_BLOCKS - 1}\n"
    commands += "".join(f"sif {name} flags {dax:#x}\n" for name in inner if name not in FILLED_LINKS)
    for name in [*names, *inner]:
        for field, value in (("uid", "0"), ("gid", "0"), ("generation", "0"), *((t, "@1767225600") for t in TIMES),
                             *((t + "_extra", "0") for t in TIMES)):
            commands += f"sif {name} {field} {value}\n"
    with tempfile.NamedTemporaryFile("w", suffix=".cmd") as script:
        script.write(commands)
        script.flush()
        run("debugfs", "-w", "-f", script.name, path)
    run("e2fsck", "-fn", path)


def free_blocks(path):
    free = set()
    for ranges in re.findall(r"^  Free blocks: (.*)$", run("dumpe2fs", path), re.MULTILINE):
        for part in filter(None, ranges.split(", ")):
            first, _, last = part.partition("-")
            free.update(range(int(first), int(last or first) + 1))
    return free


def segments(path):
    """Yields (first block, count, fill byte or None, bytes)."""
    free = free_blocks(path)
    data = open(path, "rb").read()
    current = None
    for number in range(len(data) // BLOCK):
        block = data[number * BLOCK:(number + 1) * BLOCK]
        fill = POISON if number in free else (block[0] if block == bytes([block[0]]) * BLOCK else None)
        if current and current[2] == fill and fill is not None:
            current[1] += 1
            continue
        if current:
            yield current
        current = [number, 1, fill, b"" if fill is not None else block]
    if current:
        yield current


def write_source(out_path, header, function, make_image, images):
    """One table of fuzz/exec/image_table.h. `images`: name: (size in blocks, ...); make_image(path, name) makes one."""
    namespace, function = function.rsplit("::", 1)
    out = [f"// Generated by {os.path.relpath(sys.argv[0], ROOT)}.", f'#include "{header}"', "",
           "namespace {", "", "using daxfuzz::exec::ImageData;", "using daxfuzz::exec::ImageSegment;", ""]
    table = []
    with tempfile.TemporaryDirectory() as work:
        for name, (blocks, *_) in images.items():
            path = os.path.join(work, name)
            make_image(path, name)
            rows = []
            for i, (first, count, fill, data) in enumerate(segments(path)):
                if fill is None:
                    symbol = f"k_{name}_{i}"
                    out.append(f"constexpr unsigned char {symbol}[] = {{{','.join(map(str, data.rstrip(bytes(1))))}}};")
                    rows.append(f"{{{first}, {count}, 0, {symbol}, sizeof({symbol})}}")
                else:
                    rows.append(f"{{{first}, {count}, {fill}, nullptr, 0}}")
            out.append(f"constexpr ImageSegment k_{name}[] = {{{', '.join(rows)}}};")
            table.append(f'{{"{name}", {blocks}, k_{name}}}')
    out += ["", "constexpr ImageData kTable[] = {" + ", ".join(table) + "};", "", "}  // namespace", "",
            f"std::span<const ImageData> {namespace}::{function}() {{ return kTable; }}", ""]
    with open(out_path, "w", encoding="utf-8") as file:
        file.write("\n".join(out))


if __name__ == "__main__":  # fuzz/image/make_images.py makes its own by the same means
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    write_source(sys.argv[1], "fuzz/exec/templates.h", "daxfuzz::exec::template_table", make_template, TEMPLATES)
