"""The search of the built pages finds what a user wants first; internals are not found. Runs the search's own code in Node."""

from __future__ import annotations

import json
import os
import pathlib
import shutil
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).parents[2]
#: Words, and the page that must come first.
WORDS = {
    "save": "howto/runs",
    "load": "howto/runs",
    "Adam": "reference/generated/eprop.Adam",
    "noise": "howto/networks",
    "dropout": "howto/fit",
    "encoder": "howto/encoders",
    "weights": "howto/networks",
    "learning rate": "howto/fit",
    "early stopping": "howto/fit",
    "silent": "howto/practice",
    "LIF": "reference/generated/eprop.LIF",
    "fit": "howto/fit",
    "duration": "howto/long_runs",
}
#: Names of internals, which a user does not look for.
INTERNALS = ("SampleGatherer", "RankPartition", "block_steps_of", "LaneGroup")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which("node") is None, reason="the search is JavaScript: needs node"),
]


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """The built pages: those in ``EPROP_DOCS``, or new ones."""
    if given := os.environ.get("EPROP_DOCS"):
        return pathlib.Path(given)
    out = tmp_path_factory.mktemp("docs")
    command = [
        sys.executable,
        "-m",
        "sphinx",
        "-q",
        "-D",
        "html_theme=basic",
        "-d",
        str(out / "trees"),
        str(ROOT / "docs"),
    ]
    subprocess.run([*command, str(out / "html")], check=True)
    return out / "html"


def found(pages: pathlib.Path, *words: str) -> dict[str, list[str]]:
    """Documents that the search finds for each word, best first."""
    script = pathlib.Path(__file__).with_name("search.js")
    done = subprocess.run(["node", str(script), str(pages), *words], check=True, capture_output=True, text=True)
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    return dict(zip(words, [[document for document, *_ in line] for line in lines], strict=True))


def test_the_first_result_is_what_a_user_wants(pages: pathlib.Path) -> None:
    results = found(pages, *WORDS)
    assert {word: next(iter(each), None) for word, each in results.items()} == WORDS


def test_internals_are_not_found(pages: pathlib.Path) -> None:
    for word, documents in found(pages, *INTERNALS).items():
        assert not any(document.startswith("reference/") for document in documents), word
