"""What a run will take: measured on its first updates, and right for a learner whose pace is known."""

from __future__ import annotations

import dataclasses
import json
import pathlib
import time
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pytest

import command_line
import eprop as ep
from eprop.parameters import Description, param
from eprop.tasks import GeneratedTask, Sample
from eprop.training import Learner, RunConfig, Watcher, estimate_run, start_run

PATTERN = "train pattern-generation --neurons 5 --epochs 3 --threads 1 --duration 40 --inputs 5"
#: Seconds of an update of a learner that only sleeps, and of its first one.
PACE, FIRST = 0.02, 0.3


@dataclass(frozen=True)
class Naps(Description):
    updates: int = param(100, kind=int, at_least=1, doc="naps")


class Sleeper(Learner):
    """Takes known times; the first update takes longer."""

    settings, unit = Naps, "naps"
    done, seconds = 0, 0.0

    def __init__(self, setup: Any):
        self.simulator, self.naps = setup.simulator, setup.training.updates

    @classmethod
    def of_run(cls, setup: Any) -> Sleeper:
        return cls(setup)

    @property
    def total(self) -> int:
        return self.naps

    def step(self, check: Any) -> None:
        time.sleep(PACE if self.done else FIRST)
        self.done += 1

    def report(self, check: Any) -> None:
        return None

    def evaluate(self, show: Any = None) -> Any:
        raise NotImplementedError

    def state(self) -> dict[str, Any]:
        return {}

    def set_state(self, state: Any) -> None:
        raise NotImplementedError

    def other_seconds(self) -> dict[str, float]:
        return {"test": 7.0, "blink": 0.01}


@dataclass(frozen=True, kw_only=True)
class Bed(GeneratedTask):
    name: ClassVar[str] = "bed"
    learner: ClassVar[Any] = Sleeper

    def draw_sample(self, rng: np.random.Generator) -> Sample:
        return Sample(np.zeros((2, 1)), np.zeros((2, 1)))

    def build_network(self) -> ep.Network:
        net = ep.Network()
        net.add(ep.LIF(), 1)
        return net


@pytest.mark.parametrize("updates", [1, 2, 100, 10_000])
def test_the_time_of_all_updates_follows_from_the_first_ones(updates: int) -> None:
    config = RunConfig.make("pattern-generation")
    config = dataclasses.replace(config, task=Bed(), data=Bed.data(), training=Naps(updates=updates))
    found = estimate_run(config, watcher=Watcher(), seconds=0.6)
    wanted = updates * (FIRST if updates == 1 else PACE)
    assert wanted <= found.learning < 2.0 * wanted  # a busy machine sleeps longer, never shorter
    assert found.others == {"test": 7.0}
    assert found.total == found.start + found.learning + 7.0
    assert found.work == f"{updates:,} nap{'s' * (updates > 1)}"


def test_a_run_takes_what_was_estimated(tmp_path: pathlib.Path) -> None:
    """On a machine that does the same all the time; here within a factor of three, whatever else it does."""
    task = {"neurons": 60, "inputs": 60, "duration": 300.0}
    config = RunConfig.make("pattern-generation", task=task, training={"epochs": 400}, run={"threads": 1})
    found = estimate_run(config, watcher=Watcher())
    done = start_run(config, tmp_path / "run", watcher=Watcher())
    assert found.learning / 3.0 < done.summary["train_seconds"] < 3.0 * found.learning
    assert found.memory == pytest.approx(done.summary["peak_memory_bytes"], rel=0.3)
    assert 0.0 < found.measured <= 1.0


def test_the_command_prints_it_and_writes_nothing(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    done = command_line.line(f"{PATTERN} --estimate")
    assert done.exit_code == 0, done.output
    for words in ("learning", "3 samples", "in all", "memory"):
        assert words in done.stdout
    facts = json.loads(command_line.line(f"{PATTERN} --estimate --json --quiet").stdout)
    assert facts["total_seconds"] >= facts["learning_seconds"] > 0.0
    assert facts["memory_bytes"] > 10_000_000
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("option", ["--seeds 2", "--out here", "--resume here"])
def test_nothing_is_estimated_beside_other_wishes(
    option: str, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    done = command_line.line(f"{PATTERN} --estimate {option}")
    assert done.exit_code == 2
    assert f"leave out {option.split()[0]}" in " ".join(done.output.split())
