"""Figure 5: every point once, and a drawing from its numbers; nothing is timed here."""

from __future__ import annotations

import numpy as np
import pytest

from eprop.bench import ScalingConfig
from eprop.errors import ParameterError
from eprop.figures import figure_5
from eprop.figures.figure_5 import KEYS, Figure5, measure
from eprop.figures.tables import rows, table
from eprop.plot import save
from eprop.training.watcher import Watcher

pytestmark = pytest.mark.tiny


def points(figure):
    """All points; one measurement serves those alone that measure the same."""
    found = list(figure._points())
    same: dict[str, list] = {}
    for p in found:
        same.setdefault(figure_5._name(p), []).append((figure._config(p), p["ranks"], p["nest"]))
    assert all(part == parts[0] for parts in same.values() for part in parts)
    return found


def test_points_of_both_kinds(monkeypatch):
    monkeypatch.setattr(figure_5, "has_ranks", lambda: True)
    found = points(Figure5(neurons=100, large=500, workers=4, trials=2, compare="nest"))
    # 2 seeds, 2 kinds, 1, 2 and 4 workers, 4 modes, on threads, on ranks, and NEST's; the large network without NEST.
    assert len(found) == 2 * 2 * 3 * 4 * 3 + 2 * 3 * 4 * 2
    assert {(p["neurons"], p["nest"]) for p in found if p["kind"] == "large"} == {(500, False)}
    assert {p["neurons"] for p in found if p["kind"] == "weak"} == {100, 200, 400}
    assert {p["neurons"] for p in found if p["kind"] == "strong"} == {100}
    assert all(p["ranks"] == (p["workers"] if p["over"] == "ranks" else 1) for p in found)
    monkeypatch.setattr(figure_5, "has_ranks", lambda: False)
    assert {p["over"] for p in points(Figure5())} == {"threads"}


def test_a_job_measures_its_point(monkeypatch, tmp_path):
    asked = []

    def measured(config, *, ranks, nest):
        asked.append((config, ranks, nest))
        return dict.fromkeys(KEYS, 1.0) | {"phases": {}}

    monkeypatch.setattr(figure_5, "measure_in_subprocess", measured)
    figure = Figure5(neurons=100, indegree=500)
    point = next(p for p in points(figure) if p["workers"] == 2 and p["mode"] == "stdp")
    assert set(measure(tmp_path, lambda share: None, figure._config(point), 3, True)) == set(KEYS)
    ((config, ranks, nest),) = asked
    assert (ranks, nest) == (3, True)
    assert isinstance(config, ScalingConfig)
    assert (config.mode, config.threads, config.indegree, config.rate) == ("stdp", 2, 100, 5.0)


class Measured:
    """Stands for `JobRunner`: each part takes as many seconds as there were before it."""

    watcher = Watcher()

    def each(self, jobs, threads):
        self.jobs = jobs
        return [dict.fromkeys(KEYS, float(k)) for k in range(len(jobs))]


def test_mean_and_spread_are_recorded(monkeypatch):
    monkeypatch.setattr(figure_5, "has_ranks", lambda: True)
    runner = Measured()
    tables = Figure5(neurons=100, large=0, workers=2, trials=2).compute(runner)
    # Of 2 seeds and 4 modes: one worker, and two threads or ranks, each strong and weak.
    assert len(runner.jobs) == len({job.name for job in runner.jobs}) == 2 * 4 * (1 + 2 * 2)
    means = tables["means"]
    assert means["kind"].size == 2 * 4 * 2 * 2
    assert set(means["trials"]) == {2}
    for k in range(means["kind"].size):
        point = {name: means[name][k] for name in ("kind", "mode", "over", "workers")}
        seconds = rows(tables["scaling"], **point)["run_seconds"]
        assert means["run_seconds"][k] == seconds.mean()
        assert means["run_seconds_sd"][k] == pytest.approx(abs(seconds[1] - seconds[0]) / np.sqrt(2.0))


def test_only_nest_can_be_compared_with():
    with pytest.raises(ParameterError, match="compare takes \"nest\", got 'brian'"):
        Figure5(compare="brian")


def test_figure_5_draws_and_sums_up_what_was_measured(monkeypatch, tmp_path):
    monkeypatch.setattr(figure_5, "has_ranks", lambda: True)
    figure = Figure5(compare="nest", trials=2, workers=4)
    found = points(figure)
    cost = {"static": 1.0, "stdp": 3.0, "eprop": 2.0, "eprop+": 4.0}
    seconds = [
        cost[p["mode"]] * (100.0 if p["nest"] else 1.0) * p["neurons"] / figure.sizes()[0] / p["workers"] for p in found
    ]  # fmt: skip
    columns = {name: [p[name] for p in found] for name in ("kind", "mode", "over", "workers", "seed", "neurons")}
    of = table(
        **columns, simulator=["NEST" if p["nest"] else "eprop" for p in found], run_seconds=seconds,
        real_time_factor=np.array(seconds),
    )  # fmt: skip
    summary = figure.summary({"scaling": of})
    assert summary["e-prop+: speed-up on 4 threads"] == pytest.approx(4.0)
    assert summary["static: weak scaling on 4 ranks"] == pytest.approx(1.0)
    assert summary["STDP: NEST takes longer by"] == pytest.approx(100.0)
    assert summary["e-prop: speed-up on 4 ranks, large"] == pytest.approx(4.0)
    assert summary["static: NEST's speed-up on 4 threads"] == pytest.approx(4.0)
    drawing = figure.draw({"scaling": of})
    assert [ax.get_title() for ax in drawing.axes[:3]] == list(figure_5.KINDS.values())
    assert "ideal speed-up" in [text.get_text() for text in drawing.legends[0].get_texts()]
    # A table of an earlier version has no large network.
    old = {name: column[of["kind"] != "large"] for name, column in of.items()}
    assert len(figure.draw({"scaling": old}).axes) == 2
    assert not [name for name in figure.summary({"scaling": old}) if "large" in name]
    path = save(drawing, tmp_path / "figure.png")
    assert path.read_bytes().startswith(b"\x89PNG")


def test_given_sizes_hold_for_a_quick_figure():
    """And what was not given is not kept: a whole figure in the same folder has its own."""
    assert Figure5(quick=True).sizes() == (200, 200, 0)
    assert Figure5().sizes() == (10_000, 1000, 100_000)
    assert Figure5(large=0).sizes() == (10_000, 1000, 0)
    assert Figure5(quick=True, neurons=4, steps=100, large=8).sizes() == (4, 100, 8)
    assert (Figure5(quick=True).neurons, Figure5(quick=True).steps, Figure5(quick=True).large) == (None, None, None)
    assert {p["neurons"] for p in points(Figure5(quick=True, neurons=4)) if p["kind"] == "strong"} == {4}
