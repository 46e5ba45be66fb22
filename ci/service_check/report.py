"""How a check ends: it returns, or raises one of these."""


class Failed(Exception):
    pass


class Skipped(Exception):
    pass


def tail(output, lines=4):
    """The last lines, and before them what a sanitizer sums up."""
    all_lines = output.strip().splitlines()
    summary = [line for line in all_lines[:-lines] if line.startswith("SUMMARY: ")]
    return " | ".join(line.strip() for line in summary[:1] + all_lines[-lines:])


def need(condition, reason):
    if not condition:
        raise Failed(reason)
