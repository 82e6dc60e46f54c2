"""A run is what was asked for: its record has the whole experiment, and whoever continues it is told each difference."""

from __future__ import annotations

import ast
import dataclasses
import linecache
import os
import pathlib
import signal
import tomllib
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import eprop as ep
import small_tasks
from eprop.errors import CheckpointError, DataError, NetworkError, OutputError, ParameterError
from eprop.network.description import describe
from eprop.parallel.interrupt import Stopped
from eprop.parameters import Description
from eprop.runs import RunRecord, describe_run, evaluate_run, load, load_checkpoint, resume_run
from eprop.tasks import nmnist, task, task_named
from eprop.training import Watcher
from small_tasks import bare, outcome, small, trained

QUIET = Watcher()


class StopAt(Watcher):
    def __init__(self, samples: int):
        self.samples = samples

    def metrics(self, line: dict[str, Any]) -> None:
        if line["samples"] >= self.samples:
            raise Stopped


def stop(experiment: ep.Experiment, folder: pathlib.Path, at: int = 16, **given: Any) -> str:
    with pytest.raises(Stopped) as stopped:
        trained(experiment, folder, progress=StopAt(at), **given)
    return str(stopped.value)


def weights(history: Any) -> bytes:
    found: bytes = history.simulator.state()["synapses/weight"].tobytes()
    return found


def with_body(eta: float = 0.01, loss: ep.models.Loss | None = None, tau_m: float = 20.0, gain: float = 1.0) -> Any:
    """A task of one name whose body was edited."""

    @task
    def mine(*, seed: int = 1, epochs: int = 3) -> ep.Experiment:
        net, rule = ep.Network(seed=seed), ep.EProp(optimizer=ep.Adam(eta=eta))
        x, rec = net.add(ep.EventSource(), small_tasks.INPUTS, "in"), net.add(ep.LIF(tau_m=tau_m), 5, "rec")
        out = net.add(ep.Readout(loss=loss or ep.CrossEntropy()), 2, "out")
        net.connect(x, rec, weight=ep.Normal(0.3, 0.3))
        net.connect(rec, out, weight=ep.Glorot(gain), rule=rule)
        net.feedback(out, rec)
        return ep.Experiment(net, ep.data.Generated(small_tasks.draw, 12, 6, 6, seed=seed), epochs=epochs, batch_size=4)

    return mine


def fit_again(folder: pathlib.Path, function: Any) -> Any:
    return trained(function(), folder)


def resume_again(folder: pathlib.Path, function: Any) -> Any:
    return resume_run(folder, function, watcher=QUIET)


DOORS = pytest.mark.parametrize("door", [fit_again, resume_again])


@DOORS
@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"eta": 5.0}, r"\(rec->out.rule.optimizer.eta = 5.0, not 0.01\)"),
        ({"tau_m": 30.0, "gain": 2.0}, r"\(rec.tau_m = 30.0, not 20.0; rec->out.weight.gain = 2.0, not 1.0\)"),
        ({"loss": ep.SquaredError()}, r"\(out.loss = SquaredError, not CrossEntropy\)"),
    ],
)
def test_what_was_edited_in_the_body_of_a_task_is_named(
    door: Callable[..., Any], body: dict[str, Any], words: str, tmp_path: pathlib.Path
) -> None:
    stop(with_body()(), tmp_path / "run")
    with pytest.raises((OutputError, ParameterError), match=f"other settings {words}"):
        door(tmp_path / "run", with_body(**body))
    door(tmp_path / "run", with_body())
    trained(with_body()(), tmp_path / "whole")
    assert outcome(tmp_path / "run") == outcome(tmp_path / "whole")


def test_parts_of_an_experiment_without_a_task_are_compared(tmp_path: pathlib.Path) -> None:
    stop(bare(), tmp_path / "run")
    faster = bare().network.with_rules(lambda p: ep.EProp(optimizer=ep.Adam(eta=5.0)))
    for other, words in (
        (
            replace(bare(), network=faster),
            r"in->rec.rule.optimizer.eta = 5.0, not 0.01; rec->rec.rule.*; rec->out.rule",
        ),
        (bare(window=np.arange(small_tasks.STEPS) > 3), r"Experiment.window = digest \(20,\) .*, not None"),
        (bare(classes=("low", "high")), r"Experiment.classes = low, high, not None"),
        (bare(batch_size=6), r"batch_size = 6, not 4"),
    ):
        for call in (lambda e: trained(e, tmp_path / "run"), lambda e: resume_run(tmp_path / "run", e, watcher=QUIET)):
            with pytest.raises((OutputError, ParameterError), match=words):
                call(other)


def test_samples_for_the_test_count_too(tmp_path: pathlib.Path) -> None:
    stop(bare(), tmp_path / "run")
    with pytest.raises(CheckpointError, match=r"from other data: other samples \(train .*, test .*, not train .*\)"):
        trained(replace(bare(), test=bare().train), tmp_path / "run")


@DOORS
def test_a_run_may_last_longer(door: Callable[..., Any], tmp_path: pathlib.Path) -> None:
    stop(with_body()(), tmp_path / "run")
    with pytest.raises((OutputError, ParameterError), match=r"\(epochs = 2, not 3\)"):
        trained(with_body()(epochs=2), tmp_path / "run")
    if door is fit_again:
        trained(with_body()(epochs=5), tmp_path / "run", threads=2)
    else:
        resume_run(tmp_path / "run", with_body(), watcher=QUIET, epochs=5)
    run = load(tmp_path / "run", with_body())
    assert (run.summary["samples_learned"], run.experiment.epochs) == (60, 5)
    assert tomllib.loads(run.folder.config.read_text())["training"]["epochs"] == 5
    with pytest.raises(ParameterError, match=r"other settings \(seed = 2, not 1"):
        resume_run(tmp_path / "run", with_body(), watcher=QUIET, seed=2)


# ---------------------------------------------------------------- one identity

CELL = """
import eprop as ep
import small_tasks


@ep.tasks.task
def toy(*, neurons: int = 5, seed: int = 1) -> ep.Experiment:
    source = ep.data.Generated(small_tasks.draw, 12, 6, seed=seed)
    return ep.Experiment(small_tasks.network("eprop", neurons, False, seed), source, epochs=3, batch_size=4)
"""


def in_a_kernel(number: int, text: str = CELL) -> Any:
    """The task of a cell, in a kernel of this number; its file has never been written."""
    file = f"/tmp/ipykernel_{number}/{hash(text)}.py"
    linecache.cache[file] = (len(text), None, text.splitlines(keepends=True), file)
    names: dict[str, Any] = {"__name__": f"kernel{number}"}
    exec(compile(text, file, "exec"), names)
    return names["toy"]


def test_after_a_restart_of_the_kernel_the_same_call_continues(tmp_path: pathlib.Path) -> None:
    text = stop(in_a_kernel(1)(), tmp_path / "run")
    assert text.endswith("the same call of ep.fit continues it")
    with pytest.raises(ParameterError, match=r"its task toy was typed into a notebook: .* ep.load\('.*run', toy\)"):
        load(tmp_path / "run")
    trained(in_a_kernel(2, CELL + "# edited\n")(), tmp_path / "run")
    trained(in_a_kernel(3)(), tmp_path / "whole")
    assert outcome(tmp_path / "run") == outcome(tmp_path / "whole")
    assert load(tmp_path / "run", in_a_kernel(4)).summary["task"] == "toy"


def test_seeds_of_a_restarted_kernel_continue(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    folder = trained(in_a_kernel(1)(), None, seeds=2, jobs=1).folder
    folder.summary.unlink()
    folder.of_seed(2).summary.unlink()
    assert trained(in_a_kernel(2)(), None, seeds=2, jobs=1).folder.path == folder.path
    folder.summary.unlink()
    edited = in_a_kernel(3, CELL.replace("batch_size=4", "batch_size=6"))
    assert trained(edited(), None, seeds=2, jobs=1).folder.path != folder.path
    with pytest.raises(OutputError, match=r"holds seeds with other settings \(batch_size = 6, not 4\)"):
        trained(edited(), folder.path, seeds=2, jobs=1)
    with pytest.raises(OutputError, match=r"holds seeds with other settings \(size of rec|neurons = 6, not 5\)"):
        trained(in_a_kernel(4)(neurons=6), folder.path, seeds=2, jobs=1)


PROJECT = """
import pathlib

import numpy as np

import eprop as ep
import small_tasks


@ep.tasks.task
def project(*, data: pathlib.Path = pathlib.Path("data"), seed: int = 1) -> ep.Experiment:
    if not data.is_dir():
        raise ep.errors.DataError(f"{data}: no such folder")
    source = ep.data.Generated(small_tasks.draw, 12, 6, seed=int(np.loadtxt(data / "seed.txt")))
    return ep.Experiment(small_tasks.network("eprop", 5, False, seed), source, epochs=3, batch_size=4)
"""


@pytest.mark.parametrize("door", ["fit", "resume"])
def test_a_project_that_was_moved_continues(door: str, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "old/data").mkdir(parents=True)
    (tmp_path / "old/data/seed.txt").write_text("3")
    (tmp_path / "old/project.py").write_text(PROJECT)
    monkeypatch.chdir(tmp_path / "old")
    stop(task_named("project.py")(), pathlib.Path("runs/x"))
    trained(task_named("project.py")(), tmp_path / "whole")
    (tmp_path / "old").rename(tmp_path / "new")
    monkeypatch.chdir(tmp_path / "new")
    function = task_named("project.py")
    if door == "fit":
        trained(function(), pathlib.Path("runs/x"))
    else:
        resume_run("runs/x", "project.py", watcher=QUIET)
    assert outcome(pathlib.Path("runs/x")) == outcome(tmp_path / "whole")
    assert evaluate_run("runs/x", "project.py", watcher=QUIET)[1].error == load("runs/x", "project.py").summary["value"]
    (tmp_path / "new/data/seed.txt").write_text("4")
    with pytest.raises(CheckpointError, match="from other data"):
        resume_run("runs/x", "project.py", watcher=QUIET)
    (tmp_path / "new/data").rename(tmp_path / "data")
    with pytest.raises(DataError, match="no such folder"):
        resume_run("runs/x", "project.py", watcher=QUIET)
    (tmp_path / "data/seed.txt").write_text("3")
    resume_run("runs/x", "project.py", watcher=QUIET, data=tmp_path / "data")


# ---------------------------------------------------------------- a seed


def test_a_seed_given_to_fit_is_that_of_the_task(tmp_path: pathlib.Path) -> None:
    wanted = trained(small(seed=7), tmp_path / "run")
    for number, (experiment, given) in enumerate(((small(), 7), (small(seed=7), 7), (small(seed=2), 7))):
        found = trained(experiment, tmp_path / f"run{number}", seed=given)
        assert outcome(tmp_path / f"run{number}") == outcome(tmp_path / "run")
        records = [load_checkpoint(tmp_path / name / "checkpoint.npz").record for name in ("run", f"run{number}")]
        assert not records[0].differences(records[1])
        assert (found.summary["seed"], found.experiment.network.seed) == (7, 7)
    assert weights(trained(small(), None, seed=7)) == weights(wanted)
    assert weights(trained(small(), None)) != weights(wanted)


def test_a_seed_without_a_task_draws_network_order_and_samples(tmp_path: pathlib.Path) -> None:
    def own(seed: int, order: int) -> ep.Experiment:
        source = ep.data.Generated(small_tasks.draw, 12, 6, seed=seed)
        return ep.Experiment(small_tasks.network("eprop", 6, False, seed), source, epochs=2, batch_size=4, seed=order)

    found, wanted = trained(own(1, 3), tmp_path / "run", seed=7), trained(own(7, 7), tmp_path / "wanted")
    assert outcome(tmp_path / "run") == outcome(tmp_path / "wanted")
    assert weights(found) == weights(wanted)
    for experiment in (own(1, 3), own(7, 7)):  # what was trained, and what was given to fit
        assert load(tmp_path / "run", experiment).simulator.network.seed == 7
    assert weights(trained(own(7, 3), None)) != weights(wanted)


def test_a_seed_that_does_not_reach_everything_is_refused() -> None:
    @task
    def seedless(*, epochs: int = 1) -> ep.Experiment:
        return replace(bare(), epochs=epochs)

    def excitatory() -> ep.Network:
        net = ep.Network(seed=1)
        x, rec = net.add(ep.EventSource(), 6, "in"), net.add(ep.LIF(), 6, "rec", excitatory=0.5)
        net.connect(x, rec, weight=0.3, rule=ep.EProp())
        net.add(ep.Readout(), 2, "out")
        return net

    for experiment, error, words in (
        (seedless(), ParameterError, "the task seedless has no seed"),
        (replace(bare(), train=lambda stage: bare().train), ParameterError, "does not reach the function that makes"),
        (replace(bare(), network=excitatory()), NetworkError, "has drawn which nodes of 'rec' excite, from the seed 1"),
    ):
        with pytest.raises(error, match=words):
            trained(experiment, None, seed=7)


# ---------------------------------------------------------------- who makes the experiments


COUNTED = """
import os

import eprop as ep
import small_tasks


@ep.tasks.task
def counted(*, seed: int = 1) -> ep.Experiment:
    with open("calls", "a") as file:
        file.write(f"{os.getpid()} {seed}\\n")
    source = ep.data.Generated(small_tasks.draw, 12, 6, seed=seed)
    return ep.Experiment(small_tasks.network("eprop", 5, False, seed), source, batch_size=4)
"""


@pytest.mark.parametrize("jobs", [1, 2])
def test_several_seeds_call_the_task_once_a_seed_where_it_is_trained(
    jobs: int, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    paths = f"import sys\n\nsys.path.append({str(pathlib.Path(small_tasks.__file__).parent)!r})\n"
    pathlib.Path("counted.py").write_text(paths + COUNTED)
    experiment = task_named("counted.py")(seed=3)
    pathlib.Path("calls").unlink()
    trained(experiment, tmp_path / "out", seeds=3, jobs=jobs)
    calls = [line.split() for line in pathlib.Path("calls").read_text().splitlines()]
    assert sorted(seed for _, seed in calls) == ["3", "4", "5"]
    assert {process == str(os.getpid()) for process, _ in calls} == {jobs == 1}


# ---------------------------------------------------------------- the final test


class Presses(Watcher):
    """Presses Ctrl-C when the test is at its first sample; remembers the test."""

    def __init__(self, presses: bool = True):
        self.phases, self.tested, self.presses = list[str](), list[tuple[int, int, str]](), presses

    def phase(self, text: str) -> None:
        self.phases.append(text)
        if text == "testing" and self.presses:
            os.kill(os.getpid(), signal.SIGINT)

    def evaluating(self, done: int, total: int, unit: str = "samples") -> None:
        self.tested.append((done, total, unit))


def test_ctrl_c_in_the_final_test_keeps_the_history() -> None:
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.warns(UserWarning, match="stopped by Ctrl-C after 36 of 36 samples; the test was not finished"):
            history = trained(small(), None, progress=Presses())
    finally:
        signal.signal(signal.SIGINT, before)
    assert history.interrupted
    assert (len(history) > 2, history.evaluation) == (True, None)
    whole = trained(small(), None, progress=(watcher := Presses(False)))
    assert weights(whole) == weights(history)
    assert watcher.phases[-1] == "testing"
    assert watcher.tested[-1] == (6, 6, "samples")


# ---------------------------------------------------------------- what is shown


def test_the_values_in_use_are_shown(tmp_path: pathlib.Path) -> None:
    made = nmnist(neurons=5, samples=40, test_samples=10, n_steps=20, epochs=1, validation=0)
    trained(made, tmp_path / "run")
    shown = tomllib.loads((tmp_path / "run/config.toml").read_text())["experiment"]
    wanted = {
        "in->rec.rule.optimizer": "Adam", "in->rec.rule.optimizer.eta": 6e-3, "in->rec.rule.c_reg": 20.0, "rec.tau_m": 20.0,
        "out.tau_m": 100.0, "out.loss": "CrossEntropy", "in->rec.connectivity.p": 0.25, "in->rec.weight.sd": 0.05,
    }  # fmt: skip
    assert {name: shown[name] for name in wanted} == wanted
    text = (tmp_path / "run/config.toml").read_text()
    assert "\n# input_probability: chosen by the task, see below" in text
    assert '\n"rec.tau_m" = 20.0  # membrane time constant, ms\n' in text
    found = describe_run(tmp_path / "run")
    assert (found["task"], found["done"], found["training"]["batch_size"]) == ("nmnist", 40, 32)
    assert {name: found["experiment"][name] for name in wanted} == wanted
    record = load_checkpoint(tmp_path / "run/checkpoint.npz").record
    assert not record.differences(RunRecord.of_toml(text))
    assert not RunRecord.of_toml(text).differences(RunRecord.of(made))


# ---------------------------------------------------------------- a network from its record


def made_again(values: dict[str, Any], arrays: Any) -> ep.Network:
    """The network that a record describes; what has code of a user's own needs this code."""

    def kinds(base: type) -> dict[str, type]:
        return {base.__name__: base} | {
            name: kind for sub in base.__subclasses__() for name, kind in kinds(sub).items()
        }

    known = kinds(Description)

    def value(name: str) -> Any:
        found = values[name]
        if not isinstance(found, str):
            return found
        if found.startswith("digest "):
            return arrays[found]
        if found == "Positions":
            periodic = value(f"{name}.periodic")
            return ep.Positions(value(f"{name}.points"), periodic if periodic.size else None)
        if found[0] in "\"'":
            return ast.literal_eval(found)
        parts = [each.name for each in dataclasses.fields(known[found]) if f"{name}.{each.name}" in values]
        return known[found](**{part: value(f"{name}.{part}") for part in parts})

    net = ep.Network(dt=values["Network.dt"], seed=values["Network.seed"])
    for name in (key.removeprefix("size of ") for key in values if key.startswith("size of ")):
        signs, positions = value(f"{name}.signs"), f"{name}.positions"
        net.add(
            value(name), values[f"size of {name}"], name, dropout=values[f"{name}.dropout"],
            excitatory=None if signs is None else signs > 0, positions=value(positions) if positions in values else None,
        )  # fmt: skip
    for name in (key.removesuffix(".rule") for key in values if key.endswith(".rule")):
        own = ("connectivity", "weight", "rule", "delay", "receptor", "sign", "rewiring", "precision")
        given = {what: value(f"{name}.{what}") for what in own if f"{name}.{what}" in values}
        net.connect(*values.get(f"ends of {name}", name).split("->"), name=name, **given)
    for stimulus in (key for key in values if " onto " in key and "." not in key):
        name, _, population = stimulus.partition(" onto ")
        net.stimulate(population, value(stimulus), name)
    for name in (key.removesuffix(".kind") for key in values if key.startswith("feedback ") and key.endswith(".kind")):
        ends = name.removeprefix("feedback ").split("->")
        net.feedback(*ends, value(f"{name}.kind"), delay=value(f"{name}.delay"))
    return net


def with_everything() -> ep.Network:
    """A network whose description has arrays, positions, signs, drives and names of the user's own."""
    rng = np.random.default_rng(0)
    net = ep.Network(seed=3)
    x = net.add(ep.EventSource(), 6, "in")
    tau = ep.models.Learned(20.0, 5.0, 50.0, eta=0.01)
    rec = net.add(
        ep.ALIF(tau_m=rng.uniform(5.0, 20.0, 8)), 8, "rec", excitatory=0.5, dropout=0.1, positions=rng.random((8, 2))
    )
    more = net.add(ep.LIF(tau_m=tau), 4, "more")
    out = net.add(ep.Readout(loss=ep.CrossEntropy()), 2, "out")
    rule = ep.EProp(optimizer=ep.Momentum(eta=0.02))
    net.connect(
        x, rec, ep.Explicit((rng.random((8, 6)) < 0.5) * 0.3), rule=rule, name="given", precision=ep.FixedPoint(bits=8)
    )
    near = ep.DistanceDependent(0.5, 0.4)
    net.connect(rec, rec, near, weight=ep.Normal(0.0, 0.3), sign="source", rule=rule, delay=ep.Uniform(1.0, 3.0))
    net.connect(
        x,
        more,
        ep.FixedIndegree(3),
        weight=ep.Clipped(ep.Normal(), -1.0, 1.0),
        rule=rule,
        rewiring=ep.Rewiring(every=2),
    )
    for pre in (rec, more):
        net.connect(pre, out, weight=rng.normal(size=(2, pre.size)), rule=rule)
    net.stimulate(rec, ep.PoissonDrive(rate=800.0, weight=0.05), "background")
    net.feedback(out, rec, ep.RandomFeedback(rng.normal(size=(8, 2))))
    net.feedback(out, more)
    return net


@pytest.mark.parametrize("kind", ["everything", "eprop+", "rewiring", "reward", "no function"])
def test_a_network_can_be_made_again_of_the_record(kind: str, tmp_path: pathlib.Path) -> None:
    if kind == "everything":
        network = with_everything()
        experiment: Any = replace(bare(), network=network, epochs=1)
    else:
        experiment = small_tasks.KINDS[kind]()
        network = experiment.network
    stop(experiment, tmp_path / "run", 4)
    checkpoint = load_checkpoint(tmp_path / "run/checkpoint.npz")
    again = made_again(checkpoint.record.description, checkpoint.network)
    assert describe(again).values == describe(network).values
    first, second = (ep.Simulator(net, threads=1, precision=experiment.precision).state() for net in (network, again))
    assert {k: v.tobytes() for k, v in first.items()} == {k: v.tobytes() for k, v in second.items()}
