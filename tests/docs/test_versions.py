"""One version, written in four places."""

from __future__ import annotations

import pathlib
import re
import tomllib

import eprop

ROOT = pathlib.Path(__file__).parents[2]


def test_all_places_name_the_same_version() -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
    cited = re.search(r"^version: (\S+)$", (ROOT / "CITATION.cff").read_text(encoding="utf-8"), re.MULTILINE)
    assert eprop.__version__ == version
    assert cited is not None
    assert cited.group(1) == version


def test_the_changelog_has_the_version_or_says_that_it_is_not_released() -> None:
    headings = re.findall(r"^## \[([^]]+)\]", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE)
    expected = "Unreleased" if ".dev" in eprop.__version__ else eprop.__version__
    assert headings[0] == expected
