from __future__ import annotations

import os
import pathlib
from typing import Any

import pytest

from eprop.errors import ParameterError
from eprop.tasks import NMNIST, Recordings
from eprop.tasks.recordings import parse_range
from eprop.training import RunConfig, Training
from eprop.training.config import parse_config, parse_settings, read_config

pytestmark = pytest.mark.tiny


def test_a_configuration_survives_its_file(tmp_path: pathlib.Path) -> None:
    config = RunConfig.make(
        "nmnist",
        task={"rule": "eprop+", "neurons": 33, "eta": 1e-7},
        data={"mnist": "a 'quoted' \"folder\"", "range": "10:20", "test_data": ("x", "y")},
        training={"epochs": 3},
        run={"threads": 2, "precision": "double"},
    )
    path = tmp_path / "config.toml"
    path.write_text(config.to_toml(["a heading"]), encoding="utf-8")
    assert RunConfig.make(*read_config(path)) == config


def test_the_file_says_units_and_meanings() -> None:
    text = RunConfig.make("nmnist").to_toml(["Repeat me"])
    assert text.startswith("# Repeat me\n\n[task]\n")
    assert "tau_m = 20.0  # ms; membrane time constant of the neurons\n" in text
    assert "# threads: number of threads; does not change the result; by default all, " in text


def test_defaults_depend_on_the_data() -> None:
    assert RunConfig.make("nmnist").training.epochs == 8
    assert RunConfig.make("nmnist", data={"mnist": "folder"}).training.epochs == 1
    assert RunConfig.make("nmnist", {"training": {"epochs": 2}}).training.epochs == 2


def test_changes_win_over_the_file() -> None:
    file = {"task": {"neurons": 10, "seed": 5}, "data": {"samples": 7}}
    config = RunConfig.make("nmnist", file, task={"neurons": 20}, data={"validation": 0})
    assert (config.task.neurons, config.task.seed, config.data.samples, config.data.validation) == (20, 5, 7, 0)


def test_another_rule_brings_its_own_defaults_but_keeps_choices() -> None:
    _, file = parse_config(RunConfig.make("nmnist", task={"eta_out": 0.125}).to_toml(), "file")
    config = RunConfig.make("nmnist", file, task={"rule": "eprop+"})
    assert config.task == NMNIST(rule="eprop+", eta_out=0.125)
    explicit = RunConfig.make("nmnist", file, task={"rule": "eprop+", "eta": 5e-3})
    assert explicit.task.eta == 5e-3


def test_another_rule_brings_its_own_training_but_keeps_choices() -> None:
    def changed(chosen: dict, **changes: dict) -> Training:
        text = RunConfig.make("pattern-generation", training=chosen).to_toml()
        return RunConfig.make("pattern-generation", parse_config(text, "file")[1], **changes).training

    eprop, plus = (RunConfig.make("pattern-generation", task={"rule": rule}).training for rule in ("eprop", "eprop+"))
    assert (eprop.epochs, eprop.schedule) != (plus.epochs, plus.schedule)
    assert changed({}, task={"rule": "eprop+"}) == plus
    assert changed({"epochs": 7}, task={"rule": "eprop+"}) == plus.replace(epochs=7)
    assert changed({}, task={"rule": "eprop+"}, training={"epochs": eprop.epochs}) == plus.replace(epochs=eprop.epochs)
    assert changed({}, task={"seed": 5}) == eprop
    assert changed({"epochs": 7}) == eprop.replace(epochs=7)
    wrong = {"task": {"rule": "nothing", "seed": 2}}
    assert RunConfig.make("pattern-generation", wrong, task={"rule": "eprop+"}).training == plus


def test_paths_become_absolute(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    choice = Recordings(data="here", test_data=("there", "/else")).absolute()
    assert choice.data == str(tmp_path / "here")
    assert choice.test_data == (str(tmp_path / "there"), "/else")
    assert choice.mnist is None


@pytest.mark.parametrize(
    ("text", "words"),
    [
        # keys, sections, tasks
        ("[task]\nneurons = 3\nnuerons = 4\n", "file: line 3: [task] has no key 'nuerons'; did you mean 'neurons'?"),
        ("[training]\nepoch = 3\n", "file: line 2: [training] has no key 'epoch'; did you mean 'epochs'?"),
        ("[task]\nneurons = 3\n\n[ran]\n", "file: line 4: unknown section 'ran'"),
        ("neurons = 3\n", "file: line 1: unknown key outside of a section 'neurons'"),
        ("[task]\nname = 'ecg'\n", "unknown task 'ecg'; the tasks are: pattern-generation, evidence-accumulation, delayed-cue"),
        ("[task\n", "file: is not valid TOML"),
        ("[task]\nneurons = \n", "file: is not valid TOML"),
        # values
        ("[data]\nsamples = 0\n", "file: line 2: samples must be >= 1, got 0"),
        ("[training]\n\nepochs = 0\n", "file: line 3: epochs must be >= 1, got 0"),
        ("[run]\nprecision = 'half'\n", 'file: line 2: precision must be "single" or "double"'),
        ("[task]\nloss = []\n", "file: line 2: loss must be"),
        ("[task]\nrule = [[1]]\n", "file: line 2: rule must be a number, a text, true or false, or a list of these, got"),
        ("[task]\nrule = {a = 1}\n", "file: line 2: rule must be a number, a text"),
        ("[task]\nseed = 1979-05-27\n", "file: line 2: seed must be a number, a text"),
        ("[task]\nname = 3\n", "file: line 2: name must be the name of a task, got 3"),
        ("[task]\nseed = " + "9" * 5000, "file: is not valid TOML"),
        ("[task]\nseed = " + "[" * 5000, "file: is not valid TOML"),
        ("[task]\nseed = " + "9" * 40, "file: line 2: seed must be a whole number of 64 bits"),
        # texts made to do harm: keys of 100,000 parts took the parser minutes and all memory
        ("[task]\nname" + ".a" * 100_000 + " = 1\n", "line 2: has more than 200 dots"),
        ("[" + "a." * 100_000 + "b]\n", "line 1: has more than 200 dots"),
        ("[data]\nx" + ".a" * 199 + " = 1\n", "line 2: x must be a number"),
        ("a = 1\n" * 100_000, "has 600,000 characters"),
        ("[tusk]\na = '''\n[" + " " * 300_000 + "\n'''\n", "line 1: unknown section 'tusk'"),
        ("[task]\nneurons = 0x" + "F" * 20_000, "a whole number of 64 bits, got int that is too long"),
    ],
)  # fmt: skip
def test_a_wrong_file_is_refused_with_the_place(text: str, words: str) -> None:
    with pytest.raises(ParameterError) as caught:
        RunConfig.make(*parse_config(text, "file", "nmnist"))
    assert words in str(caught.value)
    assert len(str(caught.value)) < 600


def test_a_file_without_a_name_means_the_task_that_is_asked_for() -> None:
    text = "[task]\nlif = 5\n"
    assert parse_config(text, "file", "evidence-accumulation") == ("evidence-accumulation", {"task": {"lif": 5}})
    named = '[task]\nname = "nmnist"\n'
    assert parse_config(named, "file", "nmnist")[0] == "nmnist"
    with pytest.raises(
        ParameterError, match=r"file: configures the task 'nmnist', not 'evidence-accumulation'; run it"
    ):
        parse_config(named, "file", "evidence-accumulation")
    with pytest.raises(
        ParameterError, match=r'file: \[task\] has no name; write name = "pattern-generation" or the name'
    ):
        parse_config(text, "file")


def test_a_file_that_cannot_be_read(tmp_path: pathlib.Path) -> None:
    with pytest.raises(ParameterError, match=r"none.toml: cannot be read: No such file"):
        read_config(tmp_path / "none.toml")
    with pytest.raises(ParameterError, match="cannot be read"):
        read_config(tmp_path)
    (tmp_path / "bytes.toml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ParameterError, match="cannot be read"):
        read_config(tmp_path / "bytes.toml")


@pytest.mark.parametrize(
    ("section", "values", "message"),
    [
        ("data", {"data": "a", "mnist": "b"}, "give either data (real recordings) or mnist"),
        ("data", {"range": "1:5"}, "a range needs data or mnist"),
        ("data", {"mnist": "a", "range": "all"}, 'range must be "start:stop" such as'),
        ("data", {"samples": 0}, "Recordings.samples must be >= 1, got 0"),
        ("data", {"samples": -5}, "Recordings.samples must be >= 1, got -5"),
        ("data", {"test_data": "folder"}, "Recordings.test_data must be a tuple or list"),
        ("data", {"test_data": [1]}, "must be a list of paths"),
        ("data", {"validation": -1}, "Recordings.validation must be >= 0"),
        ("data", {"warp": 0.6}, "Recordings.warp must be <= 0.5, got 0.6"),
        ("data", {"shift": -1.0}, "Recordings.shift must be >= 0 px, got -1"),
        ("training", {"epochs": 0}, "Training.epochs must be >= 1, got 0"),
        ("training", {"batch_size": -1}, "Training.batch_size must be >= 1"),
        ("training", {"eta_final": 2.0}, "Training.eta_final must be <= 1"),
        ("run", {"threads": 0}, "Execution.threads must be >= 1, got 0"),
        ("run", {"precision": "half"}, 'Execution.precision must be "single" or "double", got \'half\''),
        ("task", {"eta": float("nan")}, "NMNIST.eta must be a finite number"),
    ],
)
def test_wrong_values_are_refused(section: str, values: dict, message: str) -> None:
    with pytest.raises(ParameterError) as caught:
        RunConfig.make("nmnist", **{section: values})
    assert message in str(caught.value)


@pytest.mark.parametrize(("text", "expected"), [("0:1", (0, 1)), (" 1000 : 60000 ", (1000, 60000))])
def test_a_range_is_read_as_its_two_ends(text: str, expected: tuple[int, int]) -> None:
    assert parse_range(text) == expected


@pytest.mark.parametrize("text", ["", "5", ":5", "5:", "-1:5", "1:5:2", "a:b", "1.5:3", "3:3", "5:1"])
def test_what_is_no_range_is_refused(text: str) -> None:
    with pytest.raises(ParameterError, match="range must"):
        parse_range(text)


def test_settings_find_their_section() -> None:
    found = parse_settings("nmnist", ["eta=0.5", "training.batch_size=7", "loss=softmax", "bias = True", "data.seed=3"])
    assert found["task"] == {"eta": 0.5, "loss": "softmax", "bias": True}
    assert found["training"] == {"batch_size": 7}
    assert found["data"] == {"seed": 3}


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("eta", "--set eta: must be key=value, such as --set eta=0.002"),
        ("etta=1", "unknown key 'etta'; did you mean 'eta'?"),
        ("seed=1", "'seed' is ambiguous; write task.seed or data.seed"),
        ("training.eta=1", "[training] has no key 'eta'; did you mean 'eta_final'?"),
        ("data.trials=1", "[data] has no key 'trials'; it has: data, mnist, range"),
        ("foo=1", "unknown key 'foo'; there are: [task] seed, dt,"),
        ("foo.eta=1", "there is no section 'foo'; there are: task, data, training, run"),
    ],
)
def test_a_wrong_setting_is_refused_with_a_hint(setting: str, message: str) -> None:
    with pytest.raises(ParameterError) as caught:
        parse_settings("nmnist", [setting])
    assert message in str(caught.value)


def test_settings_that_no_parameter_has() -> None:
    for setting in ("rule=[[1]]", "loss=[]", "rule=[]", "epochs=" + "9" * 5000, "rule=" + "[" * 5000):
        with pytest.raises(ParameterError) as caught:
            RunConfig.make("nmnist", **parse_settings("nmnist", [setting]))
        assert len(str(caught.value)) < 600


def test_a_configuration_is_a_regular_file(tmp_path: pathlib.Path) -> None:
    os.mkfifo(tmp_path / "config.toml")
    with pytest.raises(ParameterError, match=r"config.toml: cannot be read: it is a named pipe"):
        read_config(tmp_path / "config.toml")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("name = '" + "a" * 5000 + ".py'\n", "a Python file, and eprop executes only files that you name"),
        # Gymnasium imports what stands before a colon.
        ('name = "gymnasium"\nenv = "payload:X-v0"\n', "line 3: env = 'payload:X-v0' would import a module"),
    ],
)
def test_names_that_lead_elsewhere_are_refused(text: str, words: str) -> None:
    with pytest.raises(ParameterError, match=words):
        RunConfig.make(*parse_config(f"[task]\n{text}", "config.toml"))


@pytest.mark.parametrize("given", [{"execution": {"threads": 1}}, {"given": {"trainin": {}}}])
def test_a_section_that_does_not_exist_is_refused(given: dict[str, Any]) -> None:
    with pytest.raises(ParameterError, match=r"RunConfig.make: unknown section '\w+'; the sections are task, data, "):
        RunConfig.make("nmnist", **given)
