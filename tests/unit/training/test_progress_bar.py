"""What is shown by default while a network learns: a bar with rate and time left."""

from __future__ import annotations

import io
import re
import sys
import types
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from eprop.training import Progress, Trainer, Watcher
from eprop.training.progress_bar import ProgressBar
from small_learner import learner

pytestmark = pytest.mark.tiny
VALUES = {"loss": 5.0, "error": 0.5, "validation error": float("nan")}
PROGRESS = Progress(50, 100, "samples", "epoch 1/2", 1.0, values=VALUES)


def test_a_trainer_shows_rate_and_time_left_by_default(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("eprop.display.LINE_INTERVAL", 0.0)
    Trainer(learner(), watcher=Watcher()).run()
    assert capsys.readouterr().err == ""
    Trainer(learner()).run()
    lines = capsys.readouterr().err.splitlines()
    assert lines[0].startswith("eprop: epoch 1/2: 4 of 20 samples, ")
    assert re.search(r" left, error .*, [\d,]+ samples/s$", lines[0])
    assert lines[-1].startswith("eprop: epoch 2/2: 20 of 20 samples, ")


def test_a_notebook_gets_one_bar_that_is_updated_in_place(monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[dict[str, str]] = []

    def display(data: dict[str, str], *, raw: bool, display_id: bool) -> Any:
        assert raw
        assert display_id
        shown.append({"new": "", **data})
        return types.SimpleNamespace(update=lambda data, raw: shown.append(data))

    module = types.ModuleType("IPython.display")
    module.display = display  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "IPython", types.ModuleType("IPython"))
    monkeypatch.setitem(sys.modules, "IPython.display", module)
    with ProgressBar(console=Console(file=io.StringIO(), force_jupyter=True)) as bar:
        bar.phase("reading <data>")
        bar.progress(PROGRESS)
    assert ["new" in each for each in shown] == [True, False]
    assert "reading &lt;data&gt;" in shown[0]["text/html"]
    assert '<progress max="1" value="0.5000">' in shown[1]["text/html"]
    assert shown[1]["text/plain"] == "epoch 1/2: 50 of 100 samples, 0:01 left, error 50.0 %, 50 samples/s"


def test_reading_shows_rate_and_time_left_as_soon_as_they_are_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("eprop.display.LINE_INTERVAL", -1.0)
    now = iter(np.arange(0.0, 1000.0, 0.5))
    monkeypatch.setattr("time.monotonic", lambda: float(next(now)))
    text = io.StringIO()
    with ProgressBar(console=Console(file=text, width=200)) as bar:
        bar.reading("digits", 0, 100)
        bar.reading("digits", 50, 100)
    first, second = text.getvalue().splitlines()
    assert first == "eprop: digits: 0 of 100 samples"
    assert re.fullmatch(r"eprop: digits: 50 of 100 samples, \d:\d\d left, [\d,]+ samples/s", second)


@pytest.mark.parametrize(("width", "seen"), [(200, "samples/s"), (80, "0:01 left"), (60, "0:01 left")])
def test_bar_and_time_left_fit_into_a_terminal(width: int, seen: str) -> None:
    text = io.StringIO()
    values = {"error": 0.021, "validation error": 0.034}
    with ProgressBar(console=Console(file=text, width=width, force_terminal=True)) as bar:
        bar.progress(Progress(30_000, 60_000, "samples", "epoch 3/10", 1.0, values=values))
        bar._display._bars.refresh()
        shown = re.sub(r"\x1b\[[\d;?]*[a-zA-Z]", "", text.getvalue()).splitlines()[-1].strip()
    assert seen in shown
    assert sum(shown.count(part) for part in "━╸╺") >= 10
    assert len(shown) <= width


@pytest.mark.parametrize("name", ["[red]digits[/red].zip", "task [/]"])
def test_brackets_of_names_are_shown_as_they_are(name: str) -> None:
    """They are no markup of Rich, which would hide them, or fail on a closing tag."""
    text = io.StringIO()
    with ProgressBar(console=Console(file=text, width=200, force_terminal=True, color_system=None)) as bar:
        bar.reading(name, 1, 4)
        bar.progress(PROGRESS)
        bar.phase(f"reading {name}")
        bar.say(f"{name} is read")
        bar._display.show("epoch", 1.0, 2.0, f"facts of {name}")
        bar._display._bars.refresh()
    for shown in (f"{name} ", f"reading {name}", f"eprop: {name} is read", f"facts of {name}"):
        assert shown in text.getvalue()
