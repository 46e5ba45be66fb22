"""The copy of the tree that is built, and the violations that can be planted in it."""
import os
import subprocess

TARGET = "fuzz/targets/syscalls_fuzzer.cc"
BUILD = "ci/oss-fuzz/build.sh"
ENTRY = 'extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {\n'


def insert_after(text, anchor, addition):
    if anchor not in text:
        raise SystemExit(f"oss-fuzz-check: a plant no longer fits: nothing like {anchor!r} in the tree")
    return text.replace(anchor, anchor + addition, 1)


def in_target(addition, anchor=ENTRY):
    return lambda text: insert_after(text, anchor, addition)


# name: (file, edit, the check that must fail, what its reason must say)
PLANTS = {
    "write-outside": (TARGET, in_target(
        '  if (std::FILE* file = std::fopen("/var/lib/daxfuzz.state", "w"); file != nullptr) { std::fclose(file); }\n'),
        "files", "/var/lib/daxfuzz.state"),
    "crash-on-empty": (TARGET, in_target("  if (size == 0) { std::abort(); }\n"), "startup", "Done 4 runs"),
    "state-left": (TARGET, in_target(
        "  static unsigned runs = 0;\n  if (++runs % 2 == 0) { t.program.schedule.clear(); }\n",
        "  prog::decode_any({data, size}, &t.program);\n"), "replays", "differ"),
    # What is built without the flags of the service; one file of its own, because a whole build of it takes minutes.
    "uninstrumented": (BUILD, lambda text: text + (
        'echo \'#include <cstddef>\nextern "C" int LLVMFuzzerTestOneInput(const char*, size_t) { return 0; }\' > "$WORK/plain.cc"\n'
        '"$CXX" -fsanitize=fuzzer "$WORK/plain.cc" -o "$OUT/$target"\n'), "instrumentation", "__asan"),
    # One folder is enough to be over the limit.
    "ubsan-in-address": ("fs/dax/CMakeLists.txt", lambda text: text + (
        "target_compile_options(fs_dax PRIVATE -fsanitize=undefined)\n"),
        "instrumentation", "__ubsan"),
    # Of the memory build, where there is a C++ library for it.
    "unwritten-read": (TARGET, in_target(
        "  uint8_t* volatile unwritten = new uint8_t[16];\n"
        "  if (unwritten[9] % 2 == 1) { t.program.schedule.clear(); }\n  delete[] unwritten;\n",
        "  prog::decode_any({data, size}, &t.program);\n"), "startup", "use-of-uninitialized-value"),
    "tool-in-out": (BUILD, lambda text: text + 'cp "$build/corpus_files" "$OUT/"\n', "contents", "corpus_files"),
}


OF_MEMORY = {"unwritten-read"}


def sanitizer_of(plant):
    """The build whose checks catch it."""
    return "memory" if plant in OF_MEMORY else "address"


def sync(root, copy, plant):
    """Makes `copy` the tree at `root` with the plant; only what differs is written, so that builds stay incremental."""
    if os.path.islink(copy) or os.path.exists(os.path.join(copy, ".git")):
        raise SystemExit(f"oss-fuzz-check: {copy} is no copy of ours; remove it or choose another --folder")
    listed = subprocess.run(["git", "ls-files", "-co", "--exclude-standard"], cwd=root, check=True, text=True,
                            stdout=subprocess.PIPE).stdout.split("\n")
    wanted = {name for name in listed if name and os.path.isfile(os.path.join(root, name))}
    for folder, _, names in os.walk(copy):
        for name in names:
            path = os.path.join(folder, name)
            if os.path.relpath(path, copy) not in wanted:
                os.unlink(path)
    for name in sorted(wanted):
        source, target = os.path.join(root, name), os.path.join(copy, name)
        with open(source, "rb") as file:
            content = file.read()
        if plant and name == PLANTS[plant][0]:
            content = PLANTS[plant][1](content.decode()).encode()
        try:
            with open(target, "rb") as file:
                if file.read() == content:
                    continue
        except FileNotFoundError:
            os.makedirs(os.path.dirname(target), exist_ok=True)
        with open(target, "wb") as file:
            file.write(content)
        os.chmod(target, os.stat(source).st_mode & 0o777)
