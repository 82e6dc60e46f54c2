"""Tasks from files, and the template for one's own."""

from __future__ import annotations

import dataclasses
import pathlib
import re

import numpy as np
import pytest

import eprop as ep
from eprop.errors import CheckpointError, InputError, ParameterError
from eprop.tasks import Classification, PatternGeneration, pattern_generation, task_named
from eprop.tasks.evidence_accumulation import EvidenceAccumulation
from eprop.tasks.registry import line_in_task, new_task
from eprop.training import RunConfig, evaluate_run, resume_run, start_run

pytestmark = pytest.mark.tiny


def written(folder: pathlib.Path, name: str = "delayed-match") -> pathlib.Path:
    file, text = new_task(name, folder / "own.py")
    file.write_text(text)
    return file


def test_a_new_task_is_a_task(tmp_path: pathlib.Path) -> None:
    file = written(tmp_path)
    kind = task_named(str(file))
    assert (kind.__name__, kind.name, kind.origin) == ("DelayedMatch", "delayed-match", str(file))
    assert issubclass(kind, Classification)
    assert task_named(str(file)) is kind
    assert "FILE" not in file.read_text()
    assert file.read_text().startswith('"""DelayedMatch, a task of your')
    assert kind(rule="eprop+").eta == 1e-4


def test_files_of_one_name_are_two_tasks(tmp_path: pathlib.Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
    one, other = (task_named(str(written(tmp_path / name, name))) for name in ("a", "b"))
    assert (one.name, other.name) == ("a", "b")


def test_the_name_of_the_file(tmp_path: pathlib.Path) -> None:
    assert new_task("delayed-match")[0] == pathlib.Path("delayed_match.py")
    assert new_task("numpy", pathlib.Path("my_numpy.py"))[0] == pathlib.Path("my_numpy.py")


@pytest.mark.parametrize(
    ("name", "file", "message"),
    [
        ("Delayed Match", None, "lower-case words joined by hyphens"),
        ("3d", None, "lower-case words joined by hyphens"),
        ("class", None, "'class' is a word of Python itself"),
        ("nmnist", None, "there is a task 'nmnist' already"),
        ("mine", "mine.txt", "ends with .py"),
        ("numpy", None, "numpy.py: Python programs .* in place of the module 'numpy'; give another name"),
        ("sample", None, "a task 'sample' would be the class Sample, which hides what the task is made of"),
        ("class-var", None, "would be the class ClassVar"),
        ("json", None, "in place of the module 'json'"),
        ("mine", "x/numpy.py", "in place of the module 'numpy'"),
    ],
)
def test_names_that_cannot_be(name: str, file: str | None, message: str) -> None:
    with pytest.raises(ParameterError, match=message):
        new_task(name, None if file is None else pathlib.Path(file))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "own.py: the file of the task does not exist; give its path, .* eprop new-task NAME makes a template"),
        ("", "must define exactly one task, .* found none. Add `name`"),
        ("\nimport nix_da", "own.py: line 2: cannot be loaded as a task: ModuleNotFoundError"),
        ("1 +", "cannot be loaded as a task: SyntaxError"),
        (
            "import eprop.tasks\nclass A(eprop.tasks.Task):\n    name = 'my/task'",
            "the name of a task must be a valid name of a folder, .*; got 'my/task'; write a name such as 'my-task'",
        ),
    ],
)  # fmt: skip
def test_files_that_hold_no_task(text: str | None, message: str, tmp_path: pathlib.Path) -> None:
    if text is not None:
        (tmp_path / "own.py").write_text(text)
    with pytest.raises(ParameterError, match=message):
        task_named(str(tmp_path / "own.py"))


TUPLE = ("return Sample(rng.random((self.n_steps, chance.size)) < chance, label)", "return chance, label")
LENGTHS = ("rng.random((self.n_steps, chance.size))", "rng.random((self.n_steps + int(rng.integers(9)), chance.size))")
EVIDENCE = ("return shown", "return shown.sum(axis=1)")
WIDE = ("return shown", "return np.repeat(shown, 3, axis=1)")
NAN = ("return shown", "return shown * np.nan")
NORMED = ("return shown", "return shown / shown.sum(axis=1, keepdims=True)")
NO_NETWORK = ("return net", "del net")
WINDOW = ("(np.arange(self.n_steps) >=", "(np.arange(self.n_steps + 1) >=")
LABEL = ("< chance, label)", "< chance, label + 1)")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (TUPLE, r"OneTask.draw_sample must return a Sample\(inputs, target\), got tuple"),
        (LENGTHS, r"the same shapes in all samples; got inputs \(1\d\d, 20\) with target"),
        (EVIDENCE, r"OneTask.evidence must return an array of shape \(samples, classes\), here \(2, 2\), got \(2,\)"),
        (WIDE, r"OneTask.evidence must .* got \(2, 6\)"),
        (NAN, r"^the task 'one-task': OneTask.evidence must be finite numbers, got nan for class 'first' from the readouts"),
        (NORMED, r"got nan for class 'first' from the readouts that do nothing, all 0, of sample 0"),
        (NO_NETWORK, r"^the task 'one-task': OneTask.build_network must return a Network, got None"),
        (WINDOW, r"^what OneTask.draw_sample and OneTask.window give must fit .*: window must have shape \(100,\)"),
        (
            LABEL,
            r"^what OneTask.draw_sample and .* fit each other and OneTask.build_network: labels must lie in 0..1, got [12]",
        ),
    ],
    ids=[
        "a tuple",
        "unequal lengths",
        "no axis of classes",
        "too many classes",
        "no numbers",
        "no numbers at rest",
        "no network",
        "a window of another length",
        "a class that is none",
    ],
)  # fmt: skip
def test_a_mistake_is_named_before_the_training(change: tuple[str, str], message: str, tmp_path: pathlib.Path) -> None:
    file = written(tmp_path, "one-task")
    assert change[0] in file.read_text()
    file.write_text(file.read_text().replace(*change))
    config = RunConfig.make(str(file), training={"epochs": 1}, data={"samples": 16})
    with pytest.raises(InputError, match=message):
        start_run(config, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_evidence_that_is_lost_while_learning_is_no_evidence(tmp_path: pathlib.Path) -> None:
    file = written(tmp_path)
    file.write_text(file.read_text().replace("return shown", "return np.where(shown > 0, np.inf, shown)"))
    task = task_named(str(file))()
    y = np.zeros((3, 100, 2))
    y[2, :, 1] = 1.0
    with pytest.raises(InputError, match=r"got inf for class 'second' from the readouts of sample 2$"):
        task.predict(range(3), y)


def test_a_default_that_is_no_parameter(tmp_path: pathlib.Path) -> None:
    file = written(tmp_path)
    file.write_text(file.read_text().replace('"c_reg": 1.0}', '"c_reg": 1.0, "tau_mm": 1.0}'))
    with pytest.raises(
        ParameterError, match=r"DelayedMatch.suited gives 'tau_mm', .* no parameter; did you mean 'tau_m'"
    ):
        RunConfig.make(str(file))


def test_the_line_of_a_task_at_which_an_error_arose(tmp_path: pathlib.Path) -> None:
    """And none for values from outside, though `dataclass` and ``validate`` check them in the file's module."""
    file = written(tmp_path)
    text = file.read_text().replace("self.make_neuron(), self", "ep.LIF(tau_m=-1.0), self")
    text += "\n    def validate(self):\n        super().validate()\n"
    file.write_text(text)
    kind = task_named(str(file))
    (line,) = (number for number, line in enumerate(text.splitlines(), 1) if "tau_m=-1.0" in line)
    with pytest.raises(ParameterError) as caught:
        kind().build_network()
    assert line_in_task(caught.value) == f"{file}: line {line}"
    for value in ({"neurons": 0}, {"rule": "none"}):
        with pytest.raises(ParameterError) as caught:
            kind(**value)
        assert line_in_task(caught.value) is None


def test_inputs_and_targets_find_their_populations_by_name(tmp_path: pathlib.Path) -> None:
    """Inputs go to the population ``in``, a class to the only readouts, whatever their name."""
    files = {}
    for name in ("in", "out"):  # a file that is loaded stays as it was
        (tmp_path / name).mkdir()
        files[name] = written(tmp_path / name)
        text = files[name].read_text()
        assert f'name="{name}")' in text
        files[name].write_text(text.replace(f'name="{name}")', f'name="{name}2")'))
    trained(files["out"], tmp_path / "run")
    with pytest.raises(InputError, match="no event source named 'in'; there are: in2"):
        trained(files["in"], tmp_path / "other")


def test_scores_of_a_wrong_shape(tmp_path: pathlib.Path) -> None:
    file = written(tmp_path)
    file.write_text(file.read_text() + "\n    def score(self, samples, y):\n        return y\n")
    with pytest.raises(InputError, match=r"DelayedMatch.score must return an array of shape \(samples,\), here \(2,\)"):
        start_run(RunConfig.make(str(file)), tmp_path / "run")


def test_a_class_that_is_no_dataclass(tmp_path: pathlib.Path) -> None:
    file = written(tmp_path)
    file.write_text(file.read_text().replace("@dataclass(frozen=True, kw_only=True)\n", ""))
    with pytest.raises(
        ParameterError, match=r"DelayedMatch has parameters, but is not a dataclass; write @dataclass\("
    ):
        task_named(str(file))


def trained(file: pathlib.Path, out: pathlib.Path) -> pathlib.Path:
    small = {"task": {"neurons": 3, "group": 2, "n_steps": 4}, "data": {"samples": 4, "test_samples": 2}}
    start_run(RunConfig.make(str(file), **small, training={"epochs": 1}, run={"threads": 1}), out)
    return out


def test_a_target_that_has_changed_is_noticed(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "path.csv"
    path.write_text("0,0\n1,2\n2,0\n")
    small = {"task": {"target": str(path), "neurons": 3, "duration": 20.0, "lead": 5.0, "c_reg": 1.0}}
    start_run(
        RunConfig.make("pattern-generation", **small, training={"epochs": 1}, run={"threads": 1}), tmp_path / "run"
    )
    path.write_text("0,0\n1,3\n1,1\n")
    pattern_generation._frozen.cache_clear()  # as in another process
    with pytest.raises(CheckpointError, match="the data of the task 'pattern-generation' have changed"):
        resume_run(tmp_path / "run")


def test_a_run_is_resumed_as_what_it_is(tmp_path: pathlib.Path) -> None:
    run = trained(written(tmp_path), tmp_path / "run")
    resume_run(run, task=str(tmp_path / "own.py"), threads=2)
    with pytest.raises(
        ParameterError, match=r"is a run of the task '.*own.py'; continue with: eprop train .*own.py --resume"
    ):
        resume_run(run, task="nmnist")
    config = run / "config.toml"
    text = config.read_text()
    config.write_text(text.replace("epochs = 1", "epochs = 5"))  # the checkpoint counts
    assert resume_run(run, task=str(tmp_path / "own.py")).summary["epochs"] == 1


@pytest.mark.tiny
@pytest.mark.parametrize("name", ["optimizer", "feedback"])
def test_a_choice_that_was_forgotten_is_named(name: str, tmp_path: pathlib.Path) -> None:
    file = written(tmp_path, f"without-{name}")
    text = re.sub(rf'"{name}": "\w+",? ?', "", file.read_text())
    assert text != file.read_text()
    file.write_text(text)
    with pytest.raises(ParameterError, match=rf"{name} must be .*, got None$"):
        RunConfig.make(str(file))


def test_the_file_of_a_run_may_have_moved(tmp_path: pathlib.Path) -> None:
    file = written(tmp_path)
    run = trained(file, tmp_path / "run")
    moved = tmp_path / "elsewhere" / "own.py"
    moved.parent.mkdir()
    file.rename(moved)
    evaluate_run(run, task=str(moved))
    assert resume_run(run, task=str(moved)).config.task_name == str(moved)


def test_a_task_has_options_for_its_neurons() -> None:
    """A task with one population chooses between neurons; one with both kinds sets their numbers."""
    adapting = PatternGeneration(neuron="alif", beta=0.3)
    model = adapting.build_network().population("rec").model
    assert isinstance(model, ep.ALIF)
    assert model.beta == 0.3
    assert PatternGeneration().unused_reason("beta") == "no neuron has an adaptive threshold"
    assert adapting.unused_reason("beta") is None
    with pytest.raises(ParameterError, match=r'PatternGeneration\.neuron must be "lif" or "alif"'):
        PatternGeneration(neuron="adaptive")
    assert "neuron" not in {field.name for field in dataclasses.fields(EvidenceAccumulation)}
