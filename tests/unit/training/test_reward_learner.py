"""Learning from reward: reports, resume, test and pictures of the reward learner, and what is refused."""

from __future__ import annotations

import functools

import numpy as np
import pytest

import eprop as ep
from eprop.encoders import PopulationCode
from eprop.errors import DataError, InputError, ParameterError
from eprop.parallel import Serial
from eprop.runs import RunRecord
from eprop.training import Control, Experiment, History, PolicyTraining, RewardLearner, Trainer, Watcher, judge
from eprop.training.pictures import Trained
from worlds import Corridor, corridor, make_corridor

SETTINGS = {"clip": 0.2, "entropy": 0.1, "entropy_final": 0.1}


def learner(threads: int = 1, **settings) -> RewardLearner:
    experiment = corridor(**settings)
    return RewardLearner(experiment, ep.Simulator(experiment.network, threads=threads, precision=experiment.precision))


def trained(learns: RewardLearner) -> list[dict]:
    """Train to the end; the lines of metrics."""
    lines = []
    Trainer(learns, watcher=Watcher(), callbacks=[lambda _, line: lines.append(line)]).run()
    return lines


def bits(learns: RewardLearner) -> dict[str, object]:
    """State of learner and simulator, without times."""
    whole = {**learns.state(), **learns.simulator.state()}
    kept = {name: value for name, value in whole.items() if "seconds" not in name and name != "sums"}
    return {name: np.asarray(v).tobytes() if isinstance(v, np.ndarray) else v for name, v in kept.items()}


def without_times(lines: list[dict]) -> list[dict]:
    return [{name: value for name, value in line.items() if "second" not in name} for line in lines]


@pytest.fixture(scope="module")
def finished() -> tuple[RewardLearner, list[dict]]:
    """A finished training, which the tests do not change, and its lines."""
    learns = learner()
    return learns, trained(learns)


def test_what_is_reported(finished):
    learns, lines = finished
    assert [line["samples"] for line in lines] == [120, 240, 360, 480, 600]
    assert sum(line["return"] is not None for line in lines) > 0
    assert all(line["rate"] > 0.0 for line in lines)
    assert all(0.0 < line["entropy"] <= 1.1 and line["explained_variance"] <= 1.0 for line in lines)
    assert (learns.score_name, learns.unit, learns.test_unit) == ("mean return", "steps", "episodes")
    summary = learns.summary()
    assert (summary["environment"], summary["environment_steps"]) == ("corridor", 600)
    assert learns.seconds > 0.0 < summary["train_processor_seconds"]


def test_a_test_has_episodes_of_its_own(finished):
    learns, _ = finished
    returns = learns.evaluate()
    assert 0.0 <= returns.mean <= 1.0
    assert np.array_equal(learns.evaluate().totals, returns.totals)
    assert judge(learns.control.replace(episodes=9), learns.simulator).totals.size == 9
    other = judge(learns.control.replace(test_seed=1), learns.simulator)
    assert not np.array_equal(other.steps, returns.steps)


@pytest.mark.parametrize(
    "settings",
    [{**SETTINGS, "passes": 1}, {**SETTINGS, "passes": 2}, {"scaled": True, "scale_rewards": True}],
    ids=["one pass", "two passes", "scaled"],
)
def test_a_stopped_training_is_resumed_bit_by_bit(settings):
    whole, part, resumed = (learner(**settings) for _ in range(3))
    lines = trained(whole)
    Trainer(part, watcher=Watcher(), callbacks=[lambda trainer, _: trainer.done >= 240]).run()
    resumed.simulator.set_state(part.simulator.state())
    resumed.set_state(part.state())
    assert bits(resumed) == bits(part)
    assert np.array_equal(resumed.evaluate().totals, part.evaluate().totals)
    assert without_times(trained(resumed)) == without_times(lines[2:])
    assert bits(resumed) == bits(whole)
    if "scaled" in settings:
        state = whole.state()
        assert state["observation_scale/count"] == state["reward_scale/count"] == 600


def test_a_test_of_a_resumed_training_repeats_no_episode(finished):
    learns = learner()
    log = learns._environments.log
    begun = len(log)
    learns.set_state(finished[0].state())
    learns.evaluate()
    assert len(log) == begun
    learns.finish()
    assert bits(learns).keys() == bits(finished[0]).keys()


def test_threads_change_nothing(finished):
    two = learner(threads=2)
    trained(two)
    assert bits(two) == bits(finished[0])


def test_the_weight_of_the_entropy_falls_along_a_line():
    training = PolicyTraining(entropy=0.2, entropy_final=0.25, gamma=0.8)
    found = [training.objective_at(done) for done in (0.0, 0.5, 1.0)]
    assert [each.entropy for each in found] == pytest.approx([0.2, 0.125, 0.05])
    assert {each.gamma for each in found} == {0.8}
    one, other = (learner(entropy=1.0, entropy_final=end) for end in (1.0, 0.0))
    trained(one), trained(other)
    assert not np.array_equal(*(each.simulator.state()["synapses/weight"] for each in (one, other)))


def test_a_test_uses_the_scale_of_the_training_and_leaves_it():
    learns = learner(scaled=True, steps=80, environments=2)
    trained(learns)
    before = learns.observation_scale.moments.state()
    learns.evaluate()
    after = learns.observation_scale.moments.state()
    assert {k: v.tolist() for k, v in before.items()} == {k: v.tolist() for k, v in after.items()}
    with pytest.raises(ParameterError, match=r"scale_observations\): give their scale"):
        judge(learns.control, learns.simulator)


def test_the_value_in_the_figure_has_the_unit_of_the_rewards():
    learns = learner(value_scale=3.0, scale_rewards=True, environments=2)
    learns._learner.reward_scale.scaled(np.array([[1.0, 5.0]]), np.zeros((1, 2), bool), 0.9)
    assert learns.value_unit == pytest.approx(6.0)
    assert learner(value_scale=3.0).value_unit == 3.0


@pytest.mark.parametrize("scaled", [False, True])
def test_the_pictures_of_a_training(scaled):
    learns = learner(scaled=scaled, scale_rewards=scaled)
    initial, lines = learns.simulator.state(), trained(learns)
    summary = {**learns.evaluate().summary(), **learns.summary()}
    run = Trained(learns.experiment, learns.simulator, initial, lines, summary)
    before = bits(learns)
    drawn = {name: picture() for name, picture in learns.pictures(run).items()}
    assert drawn.keys() == {"returns", "episode"}
    assert drawn["episode"].axes[0].get_title().startswith("return ")
    assert drawn["episode"].axes[0].images  # pictures of the corridor
    assert drawn["returns"].axes[0].get_ylabel().startswith("return")
    assert bits(learns) == before
    assert learns.pictures(Trained(run.experiment, run.simulator, initial)).keys() == {"episode"}


def test_the_history_of_rewards_shows_rewards(finished):
    learns, lines = finished
    history = History(learns.experiment, learns, lines, summary=learns.evaluate().summary() | learns.summary())
    top, bottom = history.plot().axes
    assert top.get_ylabel().startswith("return")
    assert top.get_legend_handles_labels()[1][1].startswith("test: ")
    assert bottom.get_ylabel() == "rate (Hz)"
    assert History(learns.experiment, learns).plot().axes  # before the first report


def test_a_record_has_what_acts():
    def of(control: Control) -> RunRecord:
        return RunRecord.of(Experiment(corridor().network, environments=control))

    control = corridor().environments
    assert not of(control).differences(of(control.replace(make=functools.partial(make_corridor))))
    for changed, words in (
        (control.replace(encoder=PopulationCode(fields=4, width=0.3)), "Control.encoder.width = 0.3, not 0.2"),
        (control.replace(longest=9), f"Control.longest = 9, not {control.longest}"),
        (
            control.replace(make=functools.partial(make_corridor, 3)),
            "Control.make = make_corridor(3), not make_corridor",
        ),
        (control.replace(steps=80), "steps = 80, not 600"),
    ):
        assert of(control).differences(of(changed)) == [words]


class TwoRanks(Serial):
    size = 2


def test_what_does_not_fit_is_refused(finished):
    with pytest.raises(ParameterError, match="passes = 2 needs a clip"):
        corridor(passes=2)
    with pytest.raises(DataError, match="at step 600, but has only 80 now"):
        learner(steps=80).set_state(finished[0].state())
    with pytest.raises(InputError, match="make must be a function"):
        Control(Corridor(2), PopulationCode())
    samples = Experiment(corridor().network, learner=lambda *_: None)
    with pytest.raises(ParameterError, match="needs an experiment with environments"):
        RewardLearner(samples, finished[0].simulator)


def test_several_processes_are_refused(finished, monkeypatch):
    learns, _ = finished
    monkeypatch.setitem(vars(learns.simulator), "comm", TwoRanks())
    with pytest.raises(ParameterError, match="run in one process: leave out mpiexec"):
        RewardLearner(learns.experiment, learns.simulator)
