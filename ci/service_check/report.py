"""How a check ends: it returns, or raises one of these."""


class Failed(Exception):
    pass


class Skipped(Exception):
    pass


def tail(output, lines=4):
    return " | ".join(line.strip() for line in output.strip().splitlines()[-lines:])


def need(condition, reason):
    if not condition:
        raise Failed(reason)
