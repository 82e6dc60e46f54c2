"""``eprop train`` for each task, from end to end: run folder, evaluate, plot, resume; ``--engine``, ``--trials``, files."""

from __future__ import annotations

import json
import pathlib
import re
from typing import Any

import pytest

from command_line import run
from eprop.errors import DivergenceError

PATTERN = [
    "pattern-generation",
    "--neurons",
    5,
    "--epochs",
    6,
    "--set",
    "duration=60",
    "--set",
    "inputs=5",
    "--set",
    "w_out=0.1",
    "--threads",
    1,
]
EVIDENCE = [
    "evidence-accumulation",
    "--alif",
    0,
    "--lif",
    5,
    "--samples",
    6,
    "--test-samples",
    8,
    "--validation",
    4,
    "--epochs",
    2,
    "--threads",
    1,
]
SHORT = [word for key in ("cues=3", "cue=10", "gap=5", "delay=10", "recall=10") for word in ("--set", key)]
TASKS = {"pattern-generation": PATTERN, "evidence-accumulation": [*EVIDENCE, *SHORT]}
FIGURES = {"learning_curve", "activity", "network", "weights"}


@pytest.mark.parametrize("rule", ["eprop", "eprop+"])
@pytest.mark.parametrize(("name", "own"), [("pattern-generation", "pattern"), ("evidence-accumulation", "confusion")])
def test_a_task_from_end_to_end(name: str, own: str, rule: str, tmp_path: pathlib.Path) -> None:
    done = run("train", *TASKS[name], "--rule", rule)
    assert done.exit_code == 0, done.output
    (out,) = (tmp_path / "runs").iterdir()
    assert out.name.startswith(name)
    drawn = {path.name for path in (out / "figures").iterdir()}
    assert drawn == {f"{stem}.png" for stem in FIGURES | {own}}
    summary = json.loads((out / "summary.json").read_text())
    assert f"test {summary['score']}" in done.stdout
    judged = json.loads(run("evaluate", out, "--json").stdout)
    assert judged["error"] == pytest.approx(summary["test_error"], abs=1e-12)
    assert judged["score"] == summary["score"]
    # That is said of recordings.
    assert "simulated" not in judged
    assert not {"test_simulated", "train_simulated"} & summary.keys()
    assert run("evaluate", out).exit_code == 0
    refused = run("evaluate", out, "--data", ".")
    assert refused.exit_code == 2
    assert "makes its trials from a seed: leave out --data" in refused.stderr
    fresh = run("evaluate", out, "--fresh", "7", "--json")
    if name == "pattern-generation":
        assert fresh.exit_code == 2
        assert "has one trial: there are no fresh ones" in fresh.stderr
    else:
        assert json.loads(fresh.stdout)["data"] == f"{name}, fresh trials"
        assert sum(map(sum, json.loads(fresh.stdout)["confusion"])) == 7
    again = json.loads(run("train", name, "--config", out / "config.toml", "--json", "--no-figures").stdout)
    assert again["test_loss"] == summary["test_loss"]
    resumed = json.loads(run("train", "--resume", out, "--json", "--no-figures").stdout)
    assert resumed["test_loss"] == summary["test_loss"]


@pytest.mark.parametrize("target", ["lemniscate", "handwriting", "own.csv"])
def test_every_kind_of_target_is_learned_and_drawn(target: str, tmp_path: pathlib.Path) -> None:
    (tmp_path / "own.csv").write_text("0,0,0\n1,2,3\n0,1,0\n")
    done = run("train", *PATTERN, "--target", target, "--json", "--out", "run")
    assert done.exit_code == 0, done.output
    assert (tmp_path / "run" / "figures" / "pattern.png").exists()


@pytest.mark.parametrize("rule", ["eprop", "eprop+"])
def test_the_time_driven_engine_gives_the_same(rule: str) -> None:
    words = [*PATTERN, "--rule", rule, "--set", "precision=double", "--set", "schedule=constant"]
    words += ["--set", "cutoff=1000"] if rule == "eprop+" else []
    found = [json.loads(run("train", *words, "--engine", e, "--json", "--out", e).stdout) for e in ("event", "time")]
    texts = [pathlib.Path(engine, "metrics.jsonl").read_text() for engine in ("event", "time")]
    losses = [[json.loads(line)["loss"] for line in text.splitlines()] for text in texts]
    assert losses[0] == pytest.approx(losses[1], rel=1e-9)
    assert [summary["engine"] for summary in found] == ["event", "time"]
    if rule == "eprop":
        assert found[0]["test_loss"] == pytest.approx(found[1]["test_loss"], rel=1e-9)
    resumed = run("train", "pattern-generation", "--resume", "time", "--json", "--no-figures")
    assert json.loads(resumed.stdout)["test_loss"] == found[1]["test_loss"]


def test_trials_are_printed_drawn_and_resumed() -> None:
    done = run("train", *PATTERN, "--trials", 2, "--jobs", 1, "--seed", 5)
    assert done.exit_code == 0, done.output
    assert "over 2 trials" in done.stdout
    folder = pathlib.Path("runs/pattern-generation-sines-eprop-trials-001")
    assert (folder / "seed-6" / "figures" / "pattern.png").exists()
    summary = json.loads((folder / "summary.json").read_text())
    assert summary["trials"][1]["seed"] == 6
    (all_trials,) = (folder / "figures").iterdir()
    assert all_trials.name == "learning_curve.png"
    all_trials.unlink()
    (folder / "summary.json").unlink()
    (folder / "seed-6" / "summary.json").unlink()
    resumed = run("train", "pattern-generation", "--resume", folder, "--jobs", 1, "--json", "--no-figures")
    assert json.loads(resumed.stdout)["mean"] == summary["mean"]
    assert not all_trials.exists()  # nor any other figure
    assert run("plot", folder).stdout == f"{all_trials}\n"
    assert all_trials.exists()


@pytest.mark.tiny
@pytest.mark.filterwarnings("default")
def test_a_run_whose_figures_cannot_be_drawn_is_complete(monkeypatch: pytest.MonkeyPatch) -> None:
    def exploded(_: Any, formats: Any) -> None:
        raise DivergenceError("run: a membrane voltage exploded")

    monkeypatch.setattr("eprop.plot.draw_run", exploded)
    done = run("train", *PATTERN, "--out", "out", "--json")
    assert done.exit_code == 0
    assert (
        "warning: out: the training is complete and kept, but its figures could not be drawn: run: a m" in done.stderr
    )
    assert json.loads(done.stdout)["run"] == "out"
    done = run("train", *PATTERN, "--out", "trials", "--trials", 1, "--jobs", 1, "--json")
    assert done.exit_code == 0
    for folder in ("trials", "trials/seed-1"):
        assert (
            f"warning: {folder}: the training is complete and kept, but its figures could not be drawn: run: a m"
            in done.stderr
        )


def test_a_task_of_ones_own() -> None:
    assert run("new-task", "my-own").stdout == "my_own.py: written; to run the task: eprop train my_own.py\n"
    assert run("new-task", "my-own").exit_code == 2
    words = ["--set", "neurons=10", "--epochs", 1, "--threads", 1]
    done = run("train", "my_own.py", *words)
    assert done.exit_code == 0, done.output
    out = pathlib.Path("runs/my-own-eprop-1-001")
    assert (out / "figures" / "confusion.png").exists()
    assert run("evaluate", out).exit_code == 0
    assert run("train", "my_own.py", "--resume", out, "--quiet").exit_code == 0
    assert run("train", f"--resume={out}", "--quiet").exit_code == 0
    assert run("train", "my_own.py", "--config", out / "config.toml", "--quiet", "--out", "b").exit_code == 0
    assert "Learn the task in a file" in run("train", "my_own.py", "--help").stdout


@pytest.mark.tiny
def test_a_mistake_in_the_file_of_a_task_is_told_with_its_line() -> None:
    run("new-task", "my-own")
    file = pathlib.Path("my_own.py")
    file.write_text(file.read_text().replace("self.make_neuron(), self", "ep.LIF(tau_m=-1.0), self"))
    done = run("train", file)
    assert done.exit_code == 2
    assert re.search(r"eprop: error: .*my_own.py: line \d+: LIF.tau_m must be > 0 ms, got -1", done.stderr)
    assert "eprop: error: neurons must be >= 1" in run("train", file, "--set", "neurons=0").stderr


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["pattern-generation", "--target", "circle"], "target must be one of sines, lemniscate"),
        (["pattern-generation", "--target", "none.csv"], "none.csv: cannot be read"),
        (["pattern-generation", "--engine", "gpu"], "engine must be"),
        (["pattern-generation", "--trials", "0"], "the number of trials must be >= 1, got 0"),
        (["pattern-generation", "--jobs", "2"], "give --trials as well"),
        (["pattern-generation", "--trials", "2", "--resume", "x"], "leave out --trials"),
        (["pattern-generation", "--set", "schedule=fast"], "schedule must be"),
        (["evidence-accumulation", "--set", "cues=2"], "cues must be odd"),
        (["evidence-accumulation", "--samples", "0"], "samples must be >= 1"),
        (["nmnist", "--neuron", "izhikevich"], 'neuron must be "lif" or "alif"'),
        (["own.py"], "own.py: the file of the task does not exist"),
        (["pattern-generation", "--rule", "eprop-plus"], "got 'eprop-plus'; did you mean 'eprop+'?"),
        (["pattern-generation", "--rule", "e-prop"], "got 'e-prop'; did you mean 'eprop'?"),
        (
            ["pattern-generation", "--config", "/dev/null"],
            "/dev/null: cannot be read: it is a device, not a regular file",
        ),
    ],
)
def test_bad_input_is_one_clear_line(words: list[str], message: str, tmp_path: pathlib.Path) -> None:
    done = run("train", *words)
    assert done.exit_code == 2
    assert done.stderr.splitlines()[-1].startswith("eprop: error: ")
    assert message in done.stderr
    assert "Traceback" not in done.output
    assert list(tmp_path.iterdir()) == []


@pytest.mark.tiny
def test_a_run_that_does_not_tell_its_task() -> None:
    for words in (["--resume", "none"], ["--threads", 1, "--resume=none"]):
        done = run("train", *words)
        assert done.exit_code == 2
        text = re.sub(r"[\s│]+", " ", done.stderr)
        assert "cannot read the task of the run: none/config.toml: cannot be read: No such file or directory" in text
    assert "No such option: --seed" in run("train", "--seed", 1).stderr
    assert "requires an argument" in run("train", "nmnist", "--resume").stderr
    assert "give the folder of the run, as in --resume runs/" in re.sub(r"[\s│]+", " ", run("train", "--resume").stderr)
    assert "x is a single run" in run("train", "nmnist", "--resume", "x", "--jobs", "2").stderr


@pytest.mark.tiny
def test_a_configuration_without_a_name_means_the_commands_task(tmp_path: pathlib.Path) -> None:
    (tmp_path / "c.toml").write_text("[task]\nlif = -1\n")
    refused = run("train", "evidence-accumulation", "--config", "c.toml")
    assert "lif must be >= 0, got -1" in refused.stderr


@pytest.mark.tiny
@pytest.mark.parametrize(
    ("words", "hint"),
    [
        (["my_task.py", "--rool", "eprop+"], "--rule"),
        (["evidence-accumulation", "--epoch", "5"], "--epochs"),
    ],
)
def test_a_misspelt_option_is_suggested(words: list[str], hint: str) -> None:
    run("new-task", "my-task")
    done = run("train", *words)
    assert done.exit_code == 2
    assert hint in re.sub(r"[\s│]+", " ", done.stderr)
