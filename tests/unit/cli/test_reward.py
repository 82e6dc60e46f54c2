"""``eprop train`` for tasks that are learned from reward: run folder, evaluate, plot, trials; what is refused."""

from __future__ import annotations

import json

import pytest

from command_line import run

DELAYED = [
    "delayed-reward", "--lif", 4, "--alif", 4, "--episodes", 6, "--environments", 4, "--steps", 48, "--threads", 1,
    "--set", "cues=1", "--set", "delay=50", "--set", "recall=50", "--set", "group=2", "--set", "rollout=5",
]  # fmt: skip


def test_a_task_from_end_to_end(tmp_path):
    done = run("train", *DELAYED)
    assert done.exit_code == 0, done.output
    assert "mean return" in done.stdout
    assert "over 6 episodes" in done.stdout
    (out,) = (tmp_path / "runs").iterdir()
    assert out.name == "delayed-reward-eprop-1-001"
    summary = json.loads((out / "summary.json").read_text())
    assert summary["environment_steps"] == 60  # three whole updates of 4 x 5
    assert {"mean_return", "std_return", "train_seconds", "episodes"} <= summary.keys()
    assert {path.name for path in (out / "figures").iterdir()} == {
        "returns.png",
        "episode.png",
        "network.png",
        "weights.png",
    }
    judged = json.loads(run("evaluate", out, "--json", "--episodes", 6).stdout)
    assert judged["mean_return"] == summary["mean_return"]
    assert judged["returns"] == [1.0 if right else 0.0 for right in judged["returns"]]
    told = run("evaluate", out)
    assert "lowest" in told.stdout
    again = run("train", *DELAYED, "--out", out, "--force", "--no-figures")
    assert again.exit_code == 0, again.output
    assert not (out / "figures").exists()


def test_several_trials(tmp_path):
    pytest.importorskip("joblib", reason="needs the extra trials")
    done = run("train", *DELAYED, "--trials", 2, "--jobs", 1, "--out", "several", "--no-figures")
    assert done.exit_code == 0, done.output
    summary = json.loads((tmp_path / "several" / "summary.json").read_text())
    returns = [trial["mean_return"] for trial in summary["trials"]]
    assert summary["mean"] == pytest.approx(sum(returns) / 2)
    assert summary["score"] == "mean return"
    assert "over 2 trials" in done.stdout


def test_cartpole_and_any_environment():
    pytest.importorskip("gymnasium", reason="needs the extra rl")
    short = ["--lif", 5, "--episodes", 2, "--environments", 2, "--steps", 20, "--set", "rollout=10", "--threads", 1]
    for words in (["cartpole"], ["gymnasium", "--env", "Pendulum-v1"]):
        done = run("train", *words, *short, "--json", "--no-figures")
        assert done.exit_code == 0, done.output
        summary = json.loads(done.stdout)
        assert summary["episodes"] == 2
        assert summary["environment_steps"] == 20


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["cartpole", "--epochs", 3], "No such option: --epochs"),
        (["cartpole", "--set", "epochs=3"], "unknown key 'epochs'"),
        (["cartpole", "--set", "passes=2"], "passes = 2 needs a clip"),
        (["delayed-reward", "--set", "cue=70"], "cue must be a multiple of substeps x dt = 50 ms, got 70"),
        (["gymnasium", "--env", "NoSuch-v0"], "no environment 'NoSuch-v0'"),
        (["evaluate-nothing"], "No such command"),
    ],
)
def test_what_does_not_fit_is_told_in_a_line(words, told):
    if words[0] == "gymnasium":
        pytest.importorskip("gymnasium", reason="needs the extra rl")
    done = run("train", *words)
    assert done.exit_code == 2
    assert told in done.stderr.replace("\n", " ")


def test_episodes_are_for_what_acts(tmp_path):
    done = run(
        "train",
        "pattern-generation",
        "--neurons",
        3,
        "--set",
        "duration=20",
        "--epochs",
        1,
        "--no-figures",
        "--threads",
        1,
    )
    assert done.exit_code == 0, done.output
    (out,) = (tmp_path / "runs").iterdir()
    refused = run("evaluate", out, "--episodes", 3)
    assert refused.exit_code == 2
    assert "has no episodes" in refused.stderr


@pytest.mark.parametrize("task", ["cartpole", "delayed-reward", "pong", "gymnasium"])
def test_help_teaches(task):
    shown = run("train", task, "--help").stdout
    assert f"eprop train {task}" in shown
    assert "--steps" in shown
    assert "--epochs" not in shown
