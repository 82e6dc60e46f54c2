"""Long runs: spikes in a file, rows at intervals, checkpoints and Ctrl-C give the bits of a run in memory."""

from __future__ import annotations

import os
import pathlib
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import eprop as ep
from compare import assert_same
from eprop.engine.run import long
from eprop.interop.sonata import spikes_from_sonata
from ranks_in_threads import on_ranks


def network(rule: ep.EPropPlus | ep.Static | ep.EProp = ep.EPropPlus(cutoff=20.0)) -> ep.Network:
    """Two populations that spike, a readout and a drive that changes with time."""
    net = ep.Network(seed=3)
    noise = net.add(ep.PoissonSource(20.0), 50, "noise")
    given = net.add(ep.EventSource(), 4, "in")
    rec, more = net.add(ep.LIF(), 40, "rec"), net.add(ep.LIF(v_th=0.5), 10, "more")
    out = net.add(ep.Readout(), 2, "out")
    net.connect(noise, rec, ep.Bernoulli(0.5), weight=ep.Normal(0.1, 0.1), rule=rule)
    net.connect(given, rec, weight=0.1, rule=rule)
    net.connect(rec, more, ep.FixedIndegree(10), weight=0.1, delay=3.0)
    net.connect(rec, out, weight=ep.Glorot(), rule=rule)
    net.feedback(out, rec, ep.RandomFeedback())
    return net


def events(n_steps: int) -> dict[str, Any]:
    """Inputs and targets of a run."""
    rng = np.random.default_rng(7)
    inputs = {"in": (rng.random((n_steps, 4)) < 0.1).astype(float)}
    return {"inputs": inputs, "targets": {"out": rng.normal(0.0, 1.0, (n_steps, 2))}}


@pytest.fixture(params=[1, 7, 10_000])
def most_steps(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    """Pieces of one step, of an odd number of steps, and a single piece."""
    monkeypatch.setattr("eprop.engine.run.long.MOST_STEPS", request.param)
    most: int = request.param
    return most


@pytest.mark.parametrize("given", [False, True])
def test_a_run_in_pieces_has_the_bits_of_one_run(most_steps: int, given: bool, tmp_path: pathlib.Path) -> None:
    sims = [ep.Simulator(network(), threads=1) for _ in range(2)]
    options = events(203) if given else {}
    record = [("rec", "v", [1, 2]), ("rec->out", "weight", [0])]
    for _ in range(2):  # the second run continues the first, and its file
        whole = sims[0].run(203.0, **options, record=record, spikes=["rec", "more"])
        parts = sims[1].run(203.0, **options, record=record, spikes_to=tmp_path / "s.h5")
        assert parts.spikes == {}
        whole.spikes, spikes = parts.spikes, whole.spikes
        assert parts == whole
        found = spikes_from_sonata(tmp_path / "s.h5")
        late = {name: (times[times > sims[0].time - 203.0], nodes) for name, (times, nodes) in found.items()}
        assert_same({name: (t, found[name][1][-len(t) :]) for name, (t, _) in late.items()}, spikes)
    assert len(found["rec"][0]) > len(spikes["rec"][0]) > 100
    assert_same(*(sim.state() for sim in sims))


@pytest.mark.parametrize("interval", [1.0, 4.0, 50.0])
def test_an_interval_has_the_values_at_its_end(most_steps: int, interval: float) -> None:
    sims = [ep.Simulator(network(), threads=1) for _ in range(2)]
    record = [("rec", "v")]
    every = sims[0].run(202.0, **events(202), record=record, spikes=["rec"])
    some = sims[1].run(202.0, **events(202), record=record, spikes=["rec"], interval=interval)
    step = int(interval)
    ends = slice(step - 1, None, step)
    n = len(every.times[ends])
    np.testing.assert_array_equal(some.times, every.times[ends])
    np.testing.assert_array_equal(some.y["out"], every.y["out"][ends])
    np.testing.assert_array_equal(some["rec", "v"], every["rec", "v"][ends])
    np.testing.assert_allclose(some.loss, every.loss[: n * step].reshape(n, step).sum(axis=1), rtol=1e-12)
    assert_same(some.spikes, every.spikes)


def test_an_interval_longer_than_the_run_is_told() -> None:
    sim = ep.Simulator(network(), threads=1)
    with pytest.warns(UserWarning, match=r"no rows, because interval=3000 ms is longer than the run of 20 ms"):
        assert not sim.run(20, interval=3000).times.size
    assert sim.time == 20.0
    assert sim.run(20, interval=20).times.size == 1


def test_a_run_from_a_checkpoint_writes_the_same_file(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    net, whole = network(), ep.Simulator(network(), threads=1)
    expected = whole.run(300.0, spikes=["rec", "more"]).spikes
    sim, saved = ep.Simulator(net, threads=1), []
    monkeypatch.setattr(long, "_write_state", lambda path, state: saved.append(int(state["counters"][0])))
    sim.run(110.0, checkpoint=("any", 25.0))
    assert saved == [25, 50, 75, 100, 110]
    monkeypatch.undo()
    # The first simulator goes beyond its checkpoint and is lost.
    sim = ep.Simulator(net, threads=1)
    sim.run(100.0, checkpoint=(tmp_path / "state.npz", 60.0), spikes_to=tmp_path / "s.h5")
    sim.run(20.0, spikes_to=tmp_path / "s.h5")
    other = ep.Simulator(net, threads=1)
    other.set_state(np.load(tmp_path / "state.npz"))
    assert other.time == 100.0
    other.run(200.0, spikes_to=tmp_path / "s.h5")
    assert_same(spikes_from_sonata(tmp_path / "s.h5"), expected)
    assert_same(other.state(), whole.state())


def test_a_simulator_from_the_start_replaces_the_file(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "s.h5"
    path.write_text("something else")
    for _ in range(2):
        sim = ep.Simulator(network(), threads=1)
        sim.run(50.0, spikes_to=path, spikes=["more"])
        assert list(spikes_from_sonata(path)) == ["more"]
    net = network(ep.Static())
    other = ep.Simulator(net, threads=1)
    other.run(10.0)
    for options in ({"spikes": ["more"]}, {}):
        with pytest.raises(
            ep.errors.OutputError, match="holds spikes of another network or of other populations; choose"
        ):
            other.run(50.0, spikes_to=path, **options)
    sim.run(50.0, spikes_to=path, spikes=["more"])


def test_a_full_disk_stops_in_words_and_leaves_a_file_to_read(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("eprop.engine.run.long.MOST_STEPS", 500)
    resource = pytest.importorskip("resource")
    path, before = tmp_path / "s.h5", resource.getrlimit(resource.RLIMIT_FSIZE)
    sim, whole = (ep.Simulator(network(), threads=1) for _ in range(2))
    resource.setrlimit(resource.RLIMIT_FSIZE, (4_000_000, before[1]))
    try:
        with pytest.raises(
            ep.errors.OutputError, match=r"s\.h5: cannot be written: the file would exceed the size limit"
        ) as stopped:
            sim.run(1e6, spikes_to=path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    found = spikes_from_sonata(path)
    end = found["rec"][0][-1]
    assert end > 1000.0
    assert f"it holds the spikes up to {sim.time - 500.0:g} ms" in str(stopped.value)
    expected = whole.run(sim.time, spikes=["rec", "more"]).spikes
    for name, pair in found.items():
        assert_same(pair, [values[: pair[0].size] for values in expected[name]])
    np.testing.assert_array_equal(sim.run(20.0).loss, whole.run(20.0).loss)


def test_a_full_disk_keeps_the_checkpoint_before(tmp_path: pathlib.Path) -> None:
    resource = pytest.importorskip("resource")
    path, before = tmp_path / "state.npz", resource.getrlimit(resource.RLIMIT_FSIZE)
    sim = ep.Simulator(network(), threads=1)
    sim.run(10.0, checkpoint=(path, 10.0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]))
    try:
        with pytest.raises(ep.errors.OutputError, match=r"state\.npz: cannot be written.*bytes are needed"):
            sim.run(10.0, checkpoint=(path, 10.0))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert [p.name for p in tmp_path.iterdir()] == ["state.npz"]
    sim.set_state(np.load(path))
    assert sim.time == 10.0


PROGRAM = """
import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)
import numpy as np
import eprop as ep
from compare import assert_same
from test_long_runs import network
from eprop.interop.sonata import spikes_from_sonata

sim, other = (ep.Simulator(network(), threads=1) for _ in range(2))
print("ready", flush=True)
try:
    sim.run(1e8, spikes_to="s.h5", interval=10.0, checkpoint=("state.npz", 1e8))
except ep.engine.RunStopped as stop:
    assert stop.exit_code == 130
    assert "of 1e+08 ms; the simulator continues from here" in str(stop)
    recording = stop.recording
else:
    raise SystemExit("the run ended by itself")
assert sim.time > 0.0 and recording.times.size == sim.time // 10.0
expected = other.run(sim.time, spikes=["rec", "more"])
assert_same(spikes_from_sonata("s.h5"), expected.spikes)
np.testing.assert_array_equal(recording.y["out"], expected.y["out"][9::10])
third = ep.Simulator(network(), threads=1)
third.set_state(np.load("state.npz"))
assert_same(third.state(), sim.state())
np.testing.assert_array_equal(sim.run(50.0).loss, other.run(50.0).loss)
"""


@pytest.fixture
def program(tmp_path: pathlib.Path) -> Iterator[subprocess.Popen[str]]:
    """A program in a long run of hours, half a second after its start."""
    (tmp_path / "program.py").write_text(PROGRAM, encoding="utf-8")
    tests = pathlib.Path(__file__).parent
    process = subprocess.Popen(
        [sys.executable, "-W", "error", "program.py"], cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        text=True, env=os.environ | {"PYTHONPATH": os.pathsep.join([str(tests), str(tests.parents[1]), *sys.path])},
    )  # fmt: skip
    assert process.stdout is not None
    process.stdout.readline()
    time.sleep(0.6)
    with process:
        yield process
        process.kill()


@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
def test_ctrl_c_keeps_what_there_is(program: subprocess.Popen[str]) -> None:
    program.send_signal(signal.SIGINT)
    _, errors = program.communicate(timeout=60)
    assert program.returncode == 0, errors


@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
def test_a_killed_process_leaves_a_file_to_read(program: subprocess.Popen[str], tmp_path: pathlib.Path) -> None:
    program.kill()
    program.wait()
    found = spikes_from_sonata(tmp_path / "s.h5")
    end = found["rec"][0][-1]
    expected = ep.Simulator(network(), threads=1).run(end, spikes=["rec"]).spikes["rec"]
    assert_same(found["rec"], [values[: found["rec"][0].size] for values in expected])
    assert end > 100.0


def test_ranks_write_one_file(tmp_path: pathlib.Path) -> None:
    expected = ep.Simulator(network(), threads=1).run(120.0, spikes=["rec", "more"]).spikes

    def work(comm: Any) -> ep.engine.Recording:
        sim = ep.Simulator(network(), threads=1, comm=comm)
        result = sim.run(120.0, spikes_to=tmp_path / "s.h5", interval=40.0, checkpoint=(tmp_path / "state.npz", 50.0))
        with pytest.raises(
            ep.errors.OutputError if comm.rank == 0 else ep.errors.EPropError, match="cannot be written"
        ):
            sim.run(10.0, spikes_to=tmp_path / "none" / "s.h5")
        return result

    first, second = on_ranks(2, work)
    assert first == second
    assert first.times.tolist() == [40.0, 80.0, 120.0]
    assert_same(spikes_from_sonata(tmp_path / "s.h5"), expected)
    sim = ep.Simulator(network(), threads=1)
    sim.set_state(np.load(tmp_path / "state.npz"))
    assert sim.time == 120.0


def test_progress_tells_speed_and_time_left(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("eprop.display.LINE_INTERVAL", 0.0)
    ep.Simulator(network(), threads=1).run(500.0, progress=True)
    lines = capsys.readouterr().err.splitlines()
    assert lines[0].startswith("eprop: running: 100 of 500 ms, ")
    assert lines[-1].startswith("eprop: running: 500 of 500 ms, ")
    for part in (" ms/s, real-time factor ", ", 0:00 left"):
        assert part in lines[-1]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"interval": 0.3}, "interval must be a multiple of dt"),
        ({"interval": "often"}, "interval must be a number of ms"),
        ({"spikes_to": 3}, "spikes_to takes a path, got 3"),
        ({"checkpoint": "state.npz"}, "checkpoint takes a path and ms between two checkpoints"),
        ({"checkpoint": (3, 10.0)}, "checkpoint takes a path, got 3"),
        ({"checkpoint": ("state.npz", 0.0)}, "the time between two checkpoints must be a multiple of dt"),
        ({"progress": "yes"}, "progress must be True or False"),
        ({"spikes_to": "s.h5", "spikes": ["out"]}, "is a readout and has no spikes"),
    ],
)
def test_refused(options: dict[str, Any], words: str) -> None:
    with pytest.raises(ep.errors.InputError, match=words):
        ep.Simulator(network(), threads=1).run(10.0, **options)


def test_spikes_of_sources_are_written_by_name(tmp_path: pathlib.Path) -> None:
    net = ep.Network(seed=1)
    net.connect(net.add(ep.PoissonSource(20.0), 50, "noise"), net.add(ep.Readout(), 1, "out"), weight=0.1)
    sim = ep.Simulator(net, threads=1)
    with pytest.raises(ep.errors.InputError, match="spikes_to: the network has no neurons; name sources"):
        sim.run(100.0, spikes_to=tmp_path / "s.h5")
    sim.run(100.0, spikes_to=tmp_path / "s.h5", spikes=["noise"])
    expected = ep.Simulator(net, threads=1).run(100.0, spikes=["noise"]).spikes
    assert_same(spikes_from_sonata(tmp_path / "s.h5"), expected)


def test_eprop_learns_from_the_whole_run(tmp_path: pathlib.Path) -> None:
    sim = ep.Simulator(network(ep.EProp()), threads=1)
    for options in ({"interval": 5.0}, {"spikes_to": tmp_path / "s.h5"}, {"progress": True}):
        with pytest.raises(ep.errors.InputError, match="learns from a run as from one sample, not in pieces"):
            sim.run(10.0, **options)
    assert not list(tmp_path.iterdir())
    sim.run(200.0, spikes_to=tmp_path / "s.h5", learn=False)
    expected = sim.run(200.0, spikes=["rec", "more"], learn=False).spikes
    assert_same(spikes_from_sonata(tmp_path / "s.h5"), expected)
