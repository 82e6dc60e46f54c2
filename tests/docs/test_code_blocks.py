"""The Python of the README and of the pages that teach runs as printed, top to bottom; what is to be continued, also again."""

from __future__ import annotations

import importlib.util
import pathlib
import re
import warnings
from typing import Any

import pytest

from eprop.errors import InstabilityWarning

ROOT = pathlib.Path(__file__).parents[2]
FOLDERS = ("docs/start", "docs/howto", "docs/explanation")
BLOCK = re.compile(r"^```python[^\n]*\n(.*?)^```", re.MULTILINE | re.DOTALL)
# What the page says is printed, word for word; where digits may differ between machines, a page uses ```text instead.
NEEDS = re.compile(r"^<!-- needs: (\w+) -->$", re.MULTILINE)
AGAIN = ("docs/start/ten_minutes.md", "docs/howto/runs.md")  # they say that the same call continues
PICTURES = (".png", ".pdf", ".svg")
OUTPUT = re.compile(r"^```output\n(.*?)^```", re.MULTILINE | re.DOTALL)


def script_of(page: pathlib.Path) -> str:
    """All Python blocks of a page as one script, each on the line it has in the page."""
    text = page.read_text(encoding="utf-8")
    lines = [""] * (text.count("\n") + 1)
    for match in BLOCK.finditer(text):
        first = text.count("\n", 0, match.start(1))
        code = match.group(1).splitlines()
        lines[first : first + len(code)] = code
    return "\n".join(lines).rstrip() + "\n"


def needing(module: str) -> pytest.MarkDecorator:
    """The mark of a page that needs an optional package."""
    missing = importlib.util.find_spec(module) is None
    return pytest.mark.nest if module == "nest" else pytest.mark.skipif(missing, reason=f"needs the package {module}")


def pages() -> list[Any]:
    """The README, and the pages with Python among those to be tried; a page says what it needs: ``<!-- needs: nest -->``."""
    found = [path for folder in FOLDERS for path in sorted((ROOT / folder).glob("*.md"))]
    names = ["README.md", *(path.relative_to(ROOT).as_posix() for path in found if script_of(path).strip())]
    needs = {name: NEEDS.findall((ROOT / name).read_text(encoding="utf-8")) for name in names}
    return [pytest.param(name, marks=[needing(module) for module in needs[name]]) for name in names]


@pytest.mark.parametrize("page", pages())
def test_the_page_runs_as_printed(
    page: str,
    tmp_path: pathlib.Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    request: pytest.FixtureRequest,
) -> None:
    # In an empty folder, and in long runs again in what the first run has left there, unless that is pictures only, which are
    # written over. That a call continues a finished run is tested where runs are. The name puts the page's line into a traceback.
    # In this process: to import all that a page imports takes longer than most pages.
    script = compile(script_of(ROOT / page), page, "exec")
    monkeypatch.chdir(tmp_path)
    runs = 0
    again = request.config.getoption("--slow") or page in AGAIN
    while runs == 0 or (runs == 1 and again and any(path.suffix not in PICTURES for path in tmp_path.iterdir())):
        runs += 1
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            warnings.simplefilter("error", InstabilityWarning)
            exec(script, {"__name__": "__main__"})
    rest = capsys.readouterr().out
    for printed in OUTPUT.findall((ROOT / page).read_text(encoding="utf-8")) * runs:
        assert printed in rest, f"{page} prints something else than\n{printed}\nnamely\n{rest}"
        rest = rest.split(printed, 1)[1]


def test_the_microcircuit_takes_fifteen_lines() -> None:
    code = BLOCK.findall((ROOT / "docs/howto/microcircuit.md").read_text(encoding="utf-8"))[0]
    lines = [line for line in code.splitlines() if line.strip()]
    assert 5 < len(lines) <= 15
    assert lines[0].startswith("import")
    assert any("rate" in line for line in lines)


def test_ten_lines_make_the_microcircuit_learn() -> None:
    code = BLOCK.findall((ROOT / "docs/howto/microcircuit.md").read_text(encoding="utf-8"))[1]
    taught = [line for line in code.split("test = ")[0].splitlines() if line.strip()]
    assert len(taught) <= 10
    assert ".run(" in taught[-1]
