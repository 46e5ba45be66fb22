"""The tree as every check sees it: files, their text, what CMake lists, and findings."""
import dataclasses
import pathlib
import re
import subprocess

SOURCE_SUFFIXES = {".cc", ".h", ".hpp"}
SOURCE_ROOTS = ("fs", "fuzz", "props")


@dataclasses.dataclass(frozen=True, order=True)
class Finding:
    path: str
    line: int
    message: str

    def __str__(self):
        return f"{self.path}:{self.line}: {self.message}"


@dataclasses.dataclass
class Module:
    """One daxfs_module() call."""
    name: str
    path: str  # of the CMakeLists.txt
    line: int
    deps: list
    test_deps: list
    sources: list  # paths from the root
    tests: list


class Tree:
    def __init__(self, root):
        self.root = pathlib.Path(root)
        self.files = sorted(self._list_files())
        self._text = {}

    def _list_files(self):
        """Tracked files and new ones that are not ignored; every file where there is no repository."""
        git = subprocess.run(["git", "-C", str(self.root), "ls-files", "-co", "--exclude-standard", "-z"],
                             capture_output=True, check=False)
        if git.returncode == 0:
            names = [name for name in git.stdout.decode().split("\0") if name]
        else:
            names = [str(path.relative_to(self.root)) for path in self.root.rglob("*") if path.is_file()]
        # A file may be deleted in the work tree and not yet in the index.
        return {name for name in names if (self.root / name).is_file() and not name.startswith("build/")}

    def text(self, name):
        if name not in self._text:
            self._text[name] = (self.root / name).read_text(encoding="utf-8", errors="replace")
        return self._text[name]

    def lines(self, name):
        return self.text(name).splitlines()

    def sources(self):
        return [name for name in self.files
                if pathlib.PurePath(name).suffix in SOURCE_SUFFIXES and name.split("/")[0] in SOURCE_ROOTS]

    def cmake_lists(self):
        return [name for name in self.files if name.split("/")[-1] == "CMakeLists.txt"]

    def modules(self):
        found = []
        for path in self.cmake_lists():
            found += parse_modules(path, self.text(path))
        return found

    def listed_sources(self):
        """Every source file that some CMakeLists.txt names, whatever the command."""
        listed = set()
        for path in self.cmake_lists():
            folder = str(pathlib.PurePath(path).parent)
            for token in re.split(r"[\s()\";]+", strip_cmake_comments(self.text(path))):
                if pathlib.PurePath(token).suffix in SOURCE_SUFFIXES:
                    listed.add(normalise(folder, token))
        return listed


def is_test(name):
    """Tests, and headers that only tests include."""
    base = name.split("/")[-1]
    return bool(re.search(r"(^|_)(test|testing|fake|model|props)(_|\.|$)", base)) or name.startswith(("props/", "corpus/"))


def folder_of(name):
    """'fs/rt/fiber/engine.cc' -> 'fs/rt': the module a file belongs to by its place."""
    parts = name.split("/")
    return "/".join(parts[:2]) if parts[0] in ("fs", "fuzz") else parts[0]


def normalise(folder, token):
    parts = []
    for part in (pathlib.PurePosixPath(folder) / token).parts:
        if part == "..":
            parts.pop()
        elif part != ".":
            parts.append(part)
    return "/".join(parts)


def strip_cmake_comments(text):
    return re.sub(r"#[^\n]*", "", text)


def parse_modules(path, text):
    text = strip_cmake_comments(text)
    folder = str(pathlib.PurePath(path).parent)
    variables = {name: value.split() for name, value in re.findall(r"\bset\(\s*(\w+)\s+([^()]*)\)", text)}
    modules = []
    for call in re.finditer(r"(?<!function\()\bdaxfs_module\(\s*(NAME[^()]*)\)", text):
        lists = {}
        current = None
        for token in call.group(1).split():
            variable = re.fullmatch(r"\$\{(\w+)\}", token)
            if token in ("NAME", "DEPS", "SOURCES", "TESTS", "LINK", "TEST_LINK", "TEST_DEPS", "SEQUENTIAL", "PCH"):
                current = lists.setdefault(token, [])
            elif variable:
                current += variables.get(variable.group(1), [])
            else:
                current.append(token)
        modules.append(Module(
            name=lists["NAME"][0], path=path, line=text.count("\n", 0, call.start()) + 1,
            deps=lists.get("DEPS", []), test_deps=lists.get("TEST_DEPS", []),
            sources=[normalise(folder, s) for s in lists.get("SOURCES", [])],
            tests=[normalise(folder, s) for s in lists.get("TESTS", [])]))
    return modules


def strip_code(text):
    """Blanks comments and string contents, keeps line numbers and the quotes."""
    def blank(match):
        token = match.group(0)
        if token.startswith("/"):
            return re.sub(r"[^\n]", " ", token)
        return token[0] + re.sub(r"[^\n]", " ", token[1:-1]) + token[-1]
    return re.sub(r'//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"|(?<![0-9a-fA-F])\'(?:\\.|[^\'\\\n])+\'', blank, text,
                  flags=re.S)


def strip_comments(text):
    """Blanks comments, keeps strings and line numbers."""
    def blank(match):
        token = match.group(0)
        return re.sub(r"[^\n]", " ", token) if token.startswith("/") else token
    return re.sub(r'//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"', blank, text, flags=re.S)
