"""Sentences of the pages are short: a rough measure of how easy they are to read."""

from __future__ import annotations

import json
import pathlib
import re
import statistics

import pytest

ROOT = pathlib.Path(__file__).parents[2]
#: Words of a page at most, but for the reference, which is looked up and not read.
LONGEST_PAGE = 2500
LONGEST_README = 900
LONGEST_RECIPE = 400
#: Pages under `docs/howto` that are longer than a recipe.
GUIDES = {"extending", "figures", "interop", "parallel", "practice"}
MEDIAN, SHARE_OF_LONG, LONG = 16, 0.20, 30


def text_of(path: pathlib.Path) -> str:
    """Markdown of a page, or of the text cells of a notebook."""
    text = path.read_text(encoding="utf-8")
    if path.suffix != ".ipynb":
        return text
    cells = json.loads(text)["cells"]
    return "\n\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "markdown")


def sentences(text: str) -> list[str]:
    """Sentences of running text: without code, tables, headings, formulas and addresses of links."""
    text = re.sub(r"^(```+|~~~+).*?^\1\s*$", "\n\n", text, flags=re.MULTILINE | re.DOTALL)
    text = re.sub(r"\$\$.*?\$\$", " formula ", text, flags=re.DOTALL)
    text = re.sub(r"<!--.*?-->", "", text, flags=re.DOTALL)
    text = re.sub(r"!\[[^\]]*\]\([^)]*\)", "", text)
    text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", text)
    text = re.sub(r"\{\w+\}`~?([^`]*)`", "name", text)
    text = re.sub(r"`[^`]*`", "name", text)
    text = re.sub(r"\$[^$]*\$", "symbol", text)
    text = re.sub(r"^(\||#|\(\w[\w-]*\)=|:::).*$", "\n", text, flags=re.MULTILINE)
    text = re.sub(r"^ {4,}\S.*$", "", text, flags=re.MULTILINE)  # indented code
    text = re.sub(r"^\s*(?:[-*]|\d+\.)\s+", "\n\n", text, flags=re.MULTILINE)
    found = []
    for paragraph in re.split(r"\n\s*\n", text):
        flat = re.sub(r"[*_]{1,3}(\S.*?\S|\S)[*_]{1,3}", r"\1", " ".join(paragraph.split()))
        found += [part for part in re.split(r"(?<=[.!?:])\s+(?=[A-Z\"(])", flat) if len(part.split()) > 2]
    return found


def words(text: str) -> int:
    """Words of a page, code and tables included, as `wc -w` counts them."""
    return len(text.split())


def pages() -> list[pathlib.Path]:
    """The README, the changelog, and all pages and notebooks under `docs`."""
    docs = [path for path in (ROOT / "docs").rglob("*") if path.suffix in (".md", ".ipynb")]
    return [
        ROOT / "README.md",
        ROOT / "CHANGELOG.md",
        *sorted(path for path in docs if not {"_build", "generated", ".ipynb_checkpoints"} & set(path.parts)),
    ]


def measure(paths: list[pathlib.Path]) -> tuple[float, float]:
    """Median of the words of a sentence, and the share of sentences with more than `LONG` words."""
    lengths = [len(sentence.split()) for path in paths for sentence in sentences(text_of(path))]
    return statistics.median(lengths), sum(length > LONG for length in lengths) / len(lengths)


def test_sentences_are_short() -> None:
    median, share = measure(pages())
    assert median < MEDIAN, f"half of all sentences have {median} words or more; {MEDIAN - 1} are wanted"
    assert share < SHARE_OF_LONG, f"{share:.0%} of all sentences have more than {LONG} words"


def limit_of(path: pathlib.Path) -> int | None:
    """Words that a page may have."""
    name = path.relative_to(ROOT).as_posix()
    if name == "README.md":
        return LONGEST_README
    if name.startswith("docs/reference/") or path.suffix == ".ipynb":
        return None
    if name.startswith("docs/howto/") and path.stem not in GUIDES:
        return LONGEST_RECIPE
    return LONGEST_PAGE


@pytest.mark.parametrize("path", pages(), ids=lambda path: path.relative_to(ROOT).as_posix())
def test_a_page_is_not_too_long(path: pathlib.Path) -> None:
    limit = limit_of(path)
    if limit is None:
        pytest.skip("a reference is looked up, a notebook is run")
    found = words(text_of(path))
    assert found <= limit, f"{found} words; {limit} are wanted"


def test_code_and_tables_are_no_sentences() -> None:
    text = (
        "# A title\n\nOne `a.b. C` two three. Four [five](x.md) six:\n\n```python\nprint('no. No')\n```\n\n| a | b |\n"
    )
    assert [len(sentence.split()) for sentence in sentences(text)] == [4, 3]


if __name__ == "__main__":  # what to shorten first
    for page in pages():
        lengths = sorted(len(sentence.split()) for sentence in sentences(text_of(page)))
        if lengths:
            share = sum(length > LONG for length in lengths) / len(lengths)
            name = page.relative_to(ROOT).as_posix()
            print(f"{statistics.median(lengths):5.1f} words  {share:4.0%} long  {len(lengths):4d} sentences  {name}")
    print("all: median {:.1f} words, {:.1%} long".format(*measure(pages())))
