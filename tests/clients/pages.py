"""Code blocks of the documents: what a page shows is what its test runs. Standard library only."""
import pathlib
import re

DOCS = pathlib.Path(__file__).resolve().parent.parent.parent / "docs"
# What pages write where a reader puts their own.
HOST, TENANT = "http://tarn.example:3100", "team-a"
FENCE = re.compile(r"^```([\w-]*)\n(.*?)^```$", re.M | re.S)


def blocks(text):
    """[(language, text, number of its first line)] of a Markdown text."""
    return [(m.group(1), m.group(2), text.count("\n", 0, m.start(2)) + 1) for m in FENCE.finditer(text)]


def block(page, heading, language, number=0):
    """The first block in `language` below that heading of a page, or a later one."""
    text = (DOCS / page).read_text(encoding="utf-8")
    start = re.search(r"^#+ %s$" % re.escape(heading), text, re.M)
    if not start:
        raise ValueError("%s has no heading '%s'" % (page, heading))
    found = [t for name, t, _ in blocks(text[start.end() :]) if name == language]
    if len(found) <= number:
        raise ValueError("%s has no block of %s below '%s'" % (page, language, heading))
    return found[number]


def filled(text, **values):
    """`text` with each key of `values` replaced; each must be there."""
    for old, new in values.items():
        if old not in text:
            raise ValueError("the block does not have %r" % old)
        text = text.replace(old, new)
    return text
