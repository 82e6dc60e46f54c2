"""The page about a run: it is complete, stands by itself, and a browser shows all of it."""

from __future__ import annotations

import html
import pathlib
import re
import shutil
import subprocess
from typing import Any

import pytest

from eprop.plot import write_report
from eprop.training import RunConfig, Watcher, start_run

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    out = tmp_path_factory.mktemp("report") / "a <run>"
    short = {"cues": 3, "cue": 10.0, "gap": 5.0, "delay": 10.0, "recall": 10.0, "lif": 5, "alif": 3}
    sections: dict[str, dict[str, Any]] = {
        "task": short, "data": {"samples": 6, "test_samples": 8, "validation": 4}, "training": {"epochs": 2},
        "run": {"threads": 1},
    }  # fmt: skip
    start_run(RunConfig.make("evidence-accumulation", None, **sections), out, watcher=Watcher())
    return out


def test_a_report_holds_all_of_a_run_and_stands_by_itself(run: pathlib.Path) -> None:
    page = write_report(run).read_text(encoding="utf-8")
    headings = re.findall(r"<h2[^>]*>([^<]*)</h2>", page)
    assert headings == [
        "Result", "Learning curve", "Confusion matrix", "Activity", "Network", "Weights", "Metrics", "Configuration",
        "Machine", "How to repeat it",
    ]  # fmt: skip
    sources = re.findall(r'(?:src|href)="([^"]*)"', page)
    assert all(source.startswith(("data:image/svg+xml;base64,", "#")) for source in sources)
    assert html.escape((run / "config.toml").read_text(encoding="utf-8")) in page
    assert "eprop train evidence-accumulation --config config.toml" in page
    assert "<run>" not in page
    assert "a &lt;run&gt;" in page


def test_a_run_that_was_stopped_has_a_report(tmp_path: pathlib.Path, run: pathlib.Path) -> None:
    stopped = tmp_path / "stopped"
    shutil.copytree(run, stopped)
    (stopped / "summary.json").unlink()
    page = write_report(stopped, tmp_path / "page.html").read_text(encoding="utf-8")
    assert "the run is not finished" in page
    assert "Confusion matrix" not in page


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium: apt-get install chromium")
@pytest.mark.parametrize("width", [1200, 400])
def test_a_browser_shows_every_picture_of_a_report(width: int, run: pathlib.Path, tmp_path: pathlib.Path) -> None:
    """A script that is added here tells what the browser made of the page: sizes of the pictures, and whether it overflows."""
    page = write_report(run, tmp_path / "report.html")
    text = page.read_text(encoding="utf-8")
    script = (
        "<script>onload = () => { document.title = JSON.stringify([...document.images].map(i => [i.naturalWidth, i.width]))"
        " + ' ' + (document.documentElement.scrollWidth <= innerWidth); }</script></body>"
    )
    page.write_text(text.replace("</body>", script), encoding="utf-8")
    assert CHROMIUM is not None
    done = subprocess.run(
        [CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", f"--window-size={width},900", "--virtual-time-budget=5000",
         f"--user-data-dir={tmp_path / 'profile'}", "--dump-dom", page.as_uri()],
        capture_output=True, text=True, check=True, timeout=120,
    )  # fmt: skip
    title = re.search(r"<title>(.*?)</title>", done.stdout)
    assert title is not None
    sizes, fits = title[1].rsplit(" ", 1)
    shown = [tuple(map(int, pair)) for pair in re.findall(r"\[(\d+),(\d+)\]", sizes)]
    assert len(shown) == 5
    assert all(natural > 100 and width > 100 for natural, width in shown)
    assert fits == "true"
