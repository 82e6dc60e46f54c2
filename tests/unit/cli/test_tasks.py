"""``eprop train`` for each task, from end to end: run folder, evaluate, plot, resume; ``--seeds``, files."""

from __future__ import annotations

import json
import pathlib
import re
from typing import Any

import pytest

from command_line import line
from eprop.errors import DivergenceError

PATTERN = "train pattern-generation --neurons 5 --epochs 6 --duration 60 --inputs 5 --threads 1"
EVIDENCE = (
    "train evidence-accumulation --alif 0 --lif 5 --samples 6 --test-samples 8 --validation 4 --epochs 2 --threads 1 "
    "--cues 1 --delay 10"
)
DELAYED = (
    "train delayed-reward --lif 4 --alif 4 --episodes 6 --environments 4 --steps 48 --threads 1 "
    "--cues 1 --delay 50 --rollout 5"
)
FIGURES = {"learning_curve", "activity", "network", "weights"}


def summary_of(text: str) -> dict[str, Any]:
    """Summary that a command prints."""
    done = line(f"{text} --json")
    assert done.exit_code == 0, done.output
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@pytest.mark.parametrize(
    ("task", "own", "rule"),
    [
        pytest.param(PATTERN, "pattern", "eprop", id="pattern"),
        pytest.param(EVIDENCE, "confusion", "eprop+", id="evidence, eprop+"),
        pytest.param(PATTERN, "pattern", "eprop+", id="pattern, eprop+", marks=pytest.mark.slow),
        pytest.param(EVIDENCE, "confusion", "eprop", id="evidence", marks=pytest.mark.slow),
    ],
)
def test_a_task_from_end_to_end(task: str, own: str, rule: str, tmp_path: pathlib.Path) -> None:
    name = task.split()[1]
    done = line(f"{task} --rule {rule}")
    assert done.exit_code == 0, done.output
    (out,) = (tmp_path / "runs").iterdir()
    assert out.name.startswith(name)
    assert {path.name for path in (out / "figures").iterdir()} == {f"{stem}.png" for stem in FIGURES | {own}}
    summary = json.loads((out / "summary.json").read_text())
    assert f"test {summary['score']}" in done.stdout
    judged = summary_of(f"evaluate {out}")
    assert judged["error"] == pytest.approx(summary["test_error"], abs=1e-12)
    assert judged["score"] == summary["score"]
    # These keys belong to recordings.
    assert not {"simulated", "test_simulated", "train_simulated"} & (summary.keys() | judged.keys())
    assert line(f"evaluate {out}").exit_code == 0
    assert "has no argument test_data" in line(f"evaluate {out} --data .").stderr
    fresh = line(f"evaluate {out} --fresh 7 --json")
    if name == "pattern-generation":
        assert "has one sample: there are no fresh ones" in fresh.stderr
    else:
        assert json.loads(fresh.stdout)["data"] == f"{name}, fresh samples"
        assert sum(map(sum, json.loads(fresh.stdout)["confusion"])) == 7
    for again in (f"--like {out}", f"--resume {out}"):
        assert summary_of(f"train {again} --no-figures --threads 1")["test_loss"] == summary["test_loss"]
    changed = summary_of(f"train --like {out} --seed 9 --no-figures --threads 1")
    assert (changed["seed"], changed["rule"]) == (9, rule)


def test_a_task_with_rewards_from_end_to_end(tmp_path: pathlib.Path) -> None:
    done = line(DELAYED)
    assert done.exit_code == 0, done.output
    assert "mean return" in done.stdout
    assert "over 6 episodes" in done.stdout
    (out,) = (tmp_path / "runs").iterdir()
    assert out.name == "delayed-reward-1-001"
    summary = json.loads((out / "summary.json").read_text())
    assert summary["environment_steps"] == 60  # three whole updates of 4 x 5
    assert {"mean_return", "std_return", "train_seconds", "episodes"} <= summary.keys()
    drawn = {path.name for path in (out / "figures").iterdir()}
    assert drawn == {"returns.png", "episode.png", "network.png", "weights.png"}
    judged = summary_of(f"evaluate {out} --episodes 6")
    assert judged["mean_return"] == summary["mean_return"]
    assert "over 6 episodes" in line(f"evaluate {out}").stdout
    again = line(f"{DELAYED} --out {out} --force --no-figures")
    assert again.exit_code == 0, again.output
    assert not (out / "figures").exists()


def test_trials_with_rewards() -> None:
    pytest.importorskip("joblib", reason="needs the extra trials")
    summary = summary_of(f"{DELAYED} --seeds 2 --jobs 1 --out several --no-figures")
    returns = [trial["mean_return"] for trial in summary["trials"]]
    assert summary["mean"] == pytest.approx(sum(returns) / 2)
    assert summary["score"] == "mean return"


@pytest.mark.parametrize("task", ["cartpole", "gymnasium --env Pendulum-v1"])
def test_environments_of_gymnasium(task: str) -> None:
    pytest.importorskip("gymnasium", reason="needs the extra rl")
    short = "--lif 5 --episodes 2 --environments 2 --steps 20 --rollout 10 --threads 1 --no-figures"
    summary = summary_of(f"train {task} {short}")
    assert (summary["episodes"], summary["environment_steps"]) == (2, 20)


def test_trials_are_printed_drawn_and_continued() -> None:
    words = f"{PATTERN} --seeds 2 --jobs 1 --seed 5"
    done = line(words)
    assert done.exit_code == 0, done.output
    assert "over 2 seeds" in done.stdout
    folder = pathlib.Path("runs/pattern-generation-sines-eprop-seeds-001")
    assert (folder / "seed-6" / "figures" / "pattern.png").exists()
    summary = json.loads((folder / "summary.json").read_text())
    assert summary["trials"][1]["seed"] == 6
    (all_trials,) = (folder / "figures").iterdir()
    assert all_trials.name == "learning_curve.png"
    for path in (all_trials, folder / "summary.json", folder / "seed-6" / "summary.json"):
        path.unlink()
    continued = summary_of(words)
    assert (continued["run"], continued["mean"]) == (str(folder), summary["mean"])
    all_trials.unlink()
    assert line(f"plot {folder}").stdout == f"{all_trials}\n"
    assert all_trials.exists()


@pytest.mark.tiny
@pytest.mark.filterwarnings("default")
def test_a_run_whose_figures_cannot_be_drawn_is_complete(monkeypatch: pytest.MonkeyPatch) -> None:
    def exploded(*_: Any, **__: Any) -> None:
        raise DivergenceError("run: a membrane voltage exploded")

    monkeypatch.setattr("eprop.runs.run.draw", exploded)
    done = line(f"{PATTERN} --out out --json")
    assert done.exit_code == 0
    assert json.loads(done.stdout)["run"] == "out"
    told = "warning: out: the training is complete and kept, but its figures could not be drawn: run: a membrane"
    assert told in done.stderr


def test_a_task_of_ones_own() -> None:
    assert line("new-task my-own").stdout == "my_own.py: written; to run the task: eprop train my_own.py\n"
    assert line("new-task my-own").exit_code == 2
    done = line("train my_own.py --neurons 10 --epochs 1 --threads 1")
    assert done.exit_code == 0, done.output
    out = pathlib.Path("runs/my-own-1-001")
    assert (out / "figures" / "confusion.png").exists()
    for words in (
        f"evaluate {out} --task my_own.py",
        f"train my_own.py --resume {out} --quiet --no-figures",
        f"train my_own.py --like {out} --quiet --no-figures --out b",
    ):
        assert line(words).exit_code == 0, words
    assert "An example to replace" in line("train my_own.py --help").stdout
    refused = line(f"evaluate {out}")  # a run does not decide which code is executed
    assert refused.exit_code == 2
    assert "eprop executes only files that you name" in refused.stderr
    for option in ("--resume", "--like"):
        assert "eprop executes only files that you name" in re.sub(r"[\s│]+", " ", line(f"train {option} {out}").stderr)
    for words, named in (
        ("--eta 0.1", r"my-own-1-001: is a run with other settings (eta = 0.1, not "),
        ("--eta 1 --epochs 2", r"with other settings (eta = 1.0, not "),
        ("--seed 9", "(seed = 9, not 1)"),
        ("--nonsense", "--nonsense"),
    ):
        done = line(f"train my_own.py --resume {out} --no-figures {words}")
        assert done.exit_code == 2, words
        assert named in done.stderr
    shown = json.loads(line(f"info {out} --json").stdout)
    assert (shown["arguments"]["neurons"], shown["training"]["epochs"], shown["experiment"]["size of rec"]) == (
        10,
        1,
        10,
    )
    assert re.search(r"\nrec->out.rule.optimizer.eta +[\d.]+ *\n", line(f"info {out}").stdout)
    longer = line(f"train my_own.py --resume {out} --no-figures --epochs=2 --json")
    assert json.loads(longer.stdout)["epochs"] == 2, longer.stderr
    assert "extra argument" in line(f"train my_own.py --resume {out} other").stderr
    assert "(Possible options: --neurons)" in line("train my_own.py --neuron 5").stderr
    assert "has no argument episodes" in line(f"evaluate {out} --task my_own.py --episodes 3").stderr


@pytest.mark.filterwarnings("always::eprop.errors.SaturationWarning")
def test_a_collapse_is_told_once(tmp_path: pathlib.Path) -> None:
    (tmp_path / "loud.py").write_text(
        "import eprop as ep\n"
        "def loud(*, seed: int = 1) -> ep.Experiment:\n"
        "    return ep.tasks.pattern_generation(rule='eprop+', neurons=20, epochs=16, w_in=30.0, eta=1e-9, seed=seed)\n"
    )
    result = line(f"train loud.py --threads 1 --quiet --out {tmp_path / 'run'}")
    assert result.exit_code == 0
    assert result.stderr.count("fire in almost every step and can no longer learn") == 1
