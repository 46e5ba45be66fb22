#!/usr/bin/env python3
"""Makes the images that damage is done to, and writes them as one C++ source.

usage: make_images.py OUT.cc

Small, and with what the library reads but no system call of a program makes: attributes, special files, an indexed directory,
deep extent trees, a slow symbolic link, orphans of an unclean unmount, groups and a journal, old inodes, no checksums.
Names are those that programs use. Reproducible byte for byte.
"""
import os
import struct
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "exec"))
sys.dont_write_bytecode = True

import make_templates as templates  # noqa: E402

BLOCK = templates.BLOCK
UUID = bytes.fromhex("deadbeef00004000800000000000da0f")
# name: (size in blocks, arguments of mke2fs, orphans?)
IMAGES = {
    "rich": (1024, ["-N", "64", "-O", "^has_journal,^resize_inode"], False),
    "orphans": (1024, ["-N", "64", "-O", "^has_journal"], True),
    "groups": (2048, ["-N", "128", "-g", "512"], False),
    "old": (1024, ["-N", "128", "-g", "512", "-I", "128", "-O", "^has_journal,^metadata_csum,uninit_bg,^flex_bg"], False),
    "plain": (512, ["-N", "64", "-O", "^has_journal,^metadata_csum"], False),
    "maps": (1024, ["-N", "64", "-O", "^has_journal,^extent,^64bit"], False),
}
EXTENTS = 0x80000
DAX_AND_EXTENTS = 0x2080000
DAX = 0x2000000


def crc32c(crc, data):
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return crc


def debugfs(path, commands, write=True):
    with tempfile.NamedTemporaryFile("w", suffix=".cmd") as script:
        script.write("\n".join(commands) + "\n")
        script.flush()
        return templates.run("debugfs", *(["-w"] if write else []), "-f", script.name, path)


def inode_of(path, name):
    return int(templates.re.search(r"Inode: (\d+)", debugfs(path, [f"stat {name}"], write=False)).group(1))


def populate(path, tree, dax):
    def file(name, content):
        source = os.path.join(tree, name)
        with open(source, "wb") as out:
            for begin, data in content:
                out.seek(begin * BLOCK)
                out.write(data)
        return source

    fill = b"\x66" * BLOCK
    written = file("written", [(0, fill * 16)])
    sparse = file("sparse", [(block, fill) for block in range(0, 24, 2)])
    empty = file("empty", [])
    with open(file("hole", []), "r+b") as out:
        out.truncate(16 * BLOCK)
    hole = os.path.join(tree, "hole")
    commands = [
        f"write {written} f0", f"write {hole} f1", "fallocate f1 0 15", f"write {hole} f2", f"write {written} f3",
        f"write {sparse} f4", "mknod f5 p", "mknod f6 c 1 3", f"write {empty} f7", "fallocate f7 0 3",
        f"write {written} g0", f"write {hole} g1", "fallocate g1 0 15", f"write {sparse} g2", f"write {empty} g3",
        "mkdir d0", f"write {empty} d0/f0", "ln d0/f0 d0/f1", "sif d0/f0 links_count 2", "mkdir d0/d1",
        f"write {written} d0/d1/f0", "mkdir d1", "symlink l0 d0", "symlink l1 " + "d0/" * 25 + "f0", "mkdir d2", "mkdir d3",
        "ea_set f3 user.small value", "ea_set g3 user.large " + "v" * 300, "ea_set d2 user.dir value",
    ]
    # An index of one level: all names are links to one file.
    names = ["n" * 180 + str(i) for i in range(60)]
    commands += ["expand_dir d1"] * 4 + [f"write {empty} d1/f0"] + [f"ln d1/f0 d1/{name}" for name in names]
    commands += [f"sif d1/f0 links_count {len(names) + 1}"]
    for name in ("f0", "f1", "f2", "f3", "f4", "f7", "d0/f0", "d0/d1/f0", "d1/f0"):
        commands.append(f"sif {name} flags {dax:#x}")
    debugfs(path, commands)


def settle(path, dax):
    """Clocks and numbers that would differ from build to build; e2fsck makes the index."""
    templates.execute(("e2fsck", "-fyD", path))  # its exit code says that it changed something
    commands = [f"sif / flags {dax:#x}", "sif / uid 0", "sif / gid 0"]
    for name in ("/", "f0", "f1", "f2", "f3", "f4", "f5", "f6", "f7", "g0", "g1", "g2", "g3", "d0", "d0/f0", "d0/d1", "d0/d1/f0",
                 "d1", "d1/f0", "d2", "d3", "l0", "l1"):
        commands += [f"sif {name} generation 0", f"sif {name} uid 0", f"sif {name} gid 0"]
        commands += [f"sif {name} {t} @1767225600" for t in templates.TIMES]
        if not path.endswith("old"):  # whose inodes have no room for them
            commands += [f"sif {name} {t}_extra 0" for t in templates.TIMES]
    debugfs(path, commands)


def deepen(path, name, checksums):
    """The file's tree of depth 1 becomes one of depth 2: a node with one entry is put between root and leaf."""
    ino = inode_of(path, name)
    with open(path, "rb") as image:
        data = image.read()
    (per_group,) = struct.unpack_from("<I", data, 1024 + 32)
    node = max(block for block in templates.free_blocks(path) if block < per_group)
    (free,), (free_in_group,) = struct.unpack_from("<I", data, 1024 + 12), struct.unpack_from("<H", data, BLOCK + 12)
    debugfs(path, [f"setb {node}", f"ssv free_blocks_count {free - 1}", f"set_bg 0 free_blocks_count {free_in_group - 1}",
                   "set_bg 0 checksum calc"])
    shown = debugfs(path, [f"imap <{ino}>"], write=False)
    found = templates.re.search(r"located at block (\d+), offset 0x([0-9a-f]+)", shown)
    root = int(found.group(1)) * BLOCK + int(found.group(2), 16) + 40
    magic, entries, most, depth, _ = struct.unpack_from("<HHHHI", data, root)
    assert (magic, depth) == (0xF30A, 1), (name, hex(magic), depth)
    bytes_of_node = bytearray(BLOCK)
    struct.pack_into("<HHHHI", bytes_of_node, 0, magic, entries, 340, 1, 0)
    bytes_of_node[12:12 + 12 * entries] = data[root + 12:root + 12 + 12 * entries]
    if checksums:
        seed = crc32c(crc32c(crc32c(0xFFFFFFFF, UUID), struct.pack("<I", ino)), struct.pack("<I", 0))
        struct.pack_into("<I", bytes_of_node, 12 + 12 * 340, crc32c(seed, bytes_of_node[:12 + 12 * 340]))
    new_root = bytearray(60)
    struct.pack_into("<HHHHI", new_root, 0, magic, 1, 4, 2, 0)
    struct.pack_into("<IIHH", new_root, 12, 0, node, 0, 0)
    with open(path, "r+b") as image:
        image.seek(node * BLOCK)
        image.write(bytes_of_node)
    sectors = int(templates.re.search(r"Blockcount: (\d+)", debugfs(path, [f"stat <{ino}>"], write=False)).group(1)) + 8
    words = struct.unpack("<15I", new_root)
    debugfs(path, [f"sif <{ino}> block[{i}] {word:#x}" for i, word in enumerate(words)] + [f"sif <{ino}> blocks {sectors}"])


def orphan(path):
    """What an unclean unmount left: f3 was unlinked while it was open, g0 was being truncated, d3 being removed."""
    first, second, third = (inode_of(path, name) for name in ("f3", "g0", "d3"))
    debugfs(path, ["unlink f3", f"sif <{first}> links_count 0", f"sif <{first}> dtime {second:#x}",
                   f"sif <{second}> size 5000", f"sif <{second}> dtime {third:#x}",
                   "unlink d3", f"sif <{third}> links_count 0", f"sif <{third}> dtime 0", "sif / links_count 6",
                   f"ssv last_orphan {first}"])


def make(path, name):
    blocks, extra, orphans = IMAGES[name]
    extents = "^extent" not in " ".join(extra)
    dax = DAX_AND_EXTENTS if extents else DAX
    with open(path, "wb") as image:
        image.truncate(blocks * BLOCK)
    options = "hash_seed=00112233-4455-6677-8899-aabbccddeeff,lazy_itable_init=0,lazy_journal_init=0,root_owner=0:0"
    templates.run("mke2fs", "-q", "-F", "-t", "ext4", "-b", str(BLOCK), "-U", "deadbeef-0000-4000-8000-00000000da0f", "-E", options,
                  *extra, path, str(blocks))
    with tempfile.TemporaryDirectory() as tree:
        populate(path, tree, dax)
    settle(path, dax)
    for file in ("f4", "g2") if extents else ():
        deepen(path, file, "^metadata_csum" not in " ".join(extra))
    templates.run("e2fsck", "-fn", path)
    if orphans:
        orphan(path)
    debugfs(path, [f"ssv {field} 20260101000000" for field in ("wtime", "lastcheck", "mkfs_time")])


if len(sys.argv) != 2:
    sys.exit(__doc__)
templates.write_source(sys.argv[1], "fuzz/image/images.h", "daxfuzz::image::image_table", make, IMAGES)
