"""Flags: each set of them is told apart when the program is compiled (O21)."""
import re

from lint.tree import Finding, is_test, strip_code

# First words of constants that are single bits side by side and yet no flags: (word, reason).
CHOICES = [
    ("kDesc", "sizes in bytes"),
    ("kSeek", "one of lseek's places"),
    ("kAdvise", "one of madvise's wishes"),
    ("kMode", "types of inodes, as numbers in a field"),
    ("kOpen", "the access mode is a number of two bits"),
]
CONSTANT = re.compile(r"\b(k[A-Z]\w*)\s*=\s*(0[xX][0-9a-fA-F]+|0[0-7]*|[1-9][0-9]*)[uUlL]*(?:\s*<<\s*([0-9]+))?\s*[,;}]")


def check_flags(tree):
    """Every flag stands with its set in a distinct_bits() of its folder."""
    asserted = {}
    findings = []
    for name in tree.sources():
        if name.startswith("fs/") and not is_test(name):
            folder = name.rpartition("/")[0]
            for flags in re.findall(r"distinct_bits\(\{(.*?)\}\)", strip_code(tree.text(name)), flags=re.S):
                asserted.setdefault(folder, set()).update(re.findall(r"\b(k[A-Z]\w*)", flags))
    for name in tree.sources():
        if not name.startswith("fs/") or is_test(name):
            continue
        code = strip_code(tree.text(name))
        enums = [found.span() for found in re.finditer(r"\benum\s+(?:class\s+)?\w*(?:Flags?|Bits?)\b[^;{]*\{[^}]*\}", code)]
        found = [(match, match.group(1), number_of(match.group(2), match.group(3))) for match in CONSTANT.finditer(code)]
        for at, (match, constant, value) in enumerate(found):
            if value <= 0 or value & (value - 1):
                continue
            named = any(begin <= match.start() < end for begin, end in enums)
            beside = any(is_neighbour(found, at, other, code) for other in (at - 1, at + 1))
            if (named or beside) and constant not in asserted.get(name.rpartition("/")[0], set()) | users_of(asserted, name):
                if not any(constant.startswith(word) for word, _ in CHOICES):
                    findings.append(Finding(name, code.count("\n", 0, match.start()) + 1,
                                            f"{constant} is a flag: name it with its set in a static_assert("
                                            "distinct_bits({...})) (fs/base/flags.h)"))
    return findings


def number_of(text, shift):
    base = 16 if text[:2].lower() == "0x" else 8 if text[0] == "0" else 10
    return int(text, base) << int(shift or 0)


def is_neighbour(found, at, other, code):
    """Definitions of the same first word on neighbouring lines, both one bit, and not the same one."""
    if not 0 <= other < len(found):
        return False
    (here, name, value), (there, its_name, its_value) = found[at], found[other]
    word = re.match(r"k[A-Z][a-z0-9]*", name).group(0)
    first, last = sorted((here.start(), there.start()))
    return (its_value > 0 and its_value & (its_value - 1) == 0 and code.count("\n", first, last) <= 1
            and (re.match(r"k[A-Z][a-z0-9]*", its_name).group(0) == word or "<<" in here.group(0) and "<<" in there.group(0)))


def users_of(asserted, name):
    """What fs/base declares is asserted by who uses it."""
    return set().union(*asserted.values()) if name.startswith("fs/base/") else set()
