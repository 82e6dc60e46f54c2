"""snnTorch and Norse, in an environment of their own, read the graphs of `to_nir` as the page says.

The environment is made with pip, which fetches PyTorch for CPUs; ``EPROP_READERS=PYTHON`` names the Python of one that exists.
"""

from __future__ import annotations

import json
import os
import pathlib
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

pytest.importorskip("nir", reason="needs the extra nir")

import nir

import eprop as ep
from eprop.interop.nir import to_nir

pytestmark = pytest.mark.slow

PAGE = pathlib.Path(__file__).parents[2] / "docs" / "project" / "measurements.md"
SCRIPT = pathlib.Path(__file__).with_name("other_readers.py")
REQUIREMENTS = ("snntorch==1.0.0", "norse==1.1.0", "nirtorch==2.6", "nir==1.0.8")
INDEX = "https://download.pytorch.org/whl/cpu"  # PyPI has only PyTorch for GPUs, which is several gigabytes
STEPS, INPUTS, NEURONS = 300, 20, 30
DELTA = ep.DeltaLIF(tau_m=20.0)
CURRENT = ep.CurrentLIF(tau_m=20.0, tau_syn=5.0, c_m=3.0, v_th=1.0, v_reset=0.0, e_l=0.0)


def network(neuron: ep.Model, *, recurrent: bool = False, layers: int = 1, delay: float = 1.0) -> ep.Network:
    """Layers of 30 neurons that spike at about 60 Hz; the last one, ``rec``, connects to a readout."""
    net = ep.Network(seed=1)
    last = net.add(ep.EventSource(), INPUTS, "in")
    for name in [f"layer{i}" for i in range(1, layers)] + ["rec"]:
        layer = net.add(neuron, NEURONS, name)
        net.connect(last, layer, weight=ep.Normal(0.0, 0.5), delay=delay)
        if recurrent:
            net.connect(layer, layer, weight=ep.Normal(0.0, 0.15), delay=delay)
        last = layer
    net.connect(last, net.add(ep.Readout(), 2, "out"))
    return net


def split_loops(graph: nir.NIRGraph) -> nir.NIRGraph:
    """A second matrix in each recurrent connection, as on the page."""
    for name in [name for name, node in graph.nodes.items() if isinstance(node, nir.LIF)]:
        graph.nodes[f"{name} same"] = nir.Linear(weight=np.eye(graph.nodes[name].v_threshold.size))
        graph.edges.remove((f"{name}->{name}", name))
        graph.edges += [(f"{name}->{name}", f"{name} same"), (f"{name} same", name)]
    return graph


#: Networks by rows of the page.
ROWS: dict[str, Callable[[], ep.Network]] = {
    "`DeltaLIF`, inputs only": lambda: network(DELTA),
    "`DeltaLIF`, two layers": lambda: network(DELTA, layers=2),
    "`DeltaLIF`, recurrent": lambda: network(DELTA, recurrent=True),
    "`DeltaLIF`, two recurrent layers": lambda: network(DELTA, recurrent=True, layers=2),
    "both, with `split_loop`": lambda: network(DELTA, recurrent=True, layers=2),
    "`tau_m=ep.Uniform(10.0, 30.0)`": lambda: network(DELTA.replace(tau_m=ep.Uniform(10.0, 30.0))),
    "`v_reset=-0.5`": lambda: network(DELTA.replace(v_reset=-0.5)),
    "`i_e=0.02`": lambda: network(DELTA.replace(i_e=0.02)),
    "recurrent, delays of 3 steps": lambda: network(DELTA, recurrent=True, delay=3.0),
    "`CurrentLIF`, inputs only": lambda: network(CURRENT),
    "`CurrentLIF`, recurrent": lambda: network(CURRENT, recurrent=True),
}
STEP_RULES: dict[str, dict[str, Any]] = {"euler": {"step": "euler", "dt": 0.1}, "exact": {}}


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Python of an environment with the other programs."""
    if given := os.environ.get("EPROP_READERS"):
        return given
    folder = tmp_path_factory.mktemp("readers") / "venv"
    subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
    python = str(folder / ("Scripts" if os.name == "nt" else "bin") / "python")
    for packages in (["--retries", "1", "--index-url", INDEX, "torch"], [*REQUIREMENTS]):
        if subprocess.run([python, "-m", "pip", "install", "-q", *packages], check=False).returncode:
            pytest.skip("cannot make an environment with snnTorch and Norse, and EPROP_READERS names none")
    return python


@pytest.fixture(scope="module")
def found(python: str, tmp_path_factory: pytest.TempPathFactory) -> tuple[pathlib.Path, dict[str, np.ndarray]]:
    """Folder with what the programs found, and our spikes by the row's number, (steps, neurons)."""
    folder, ours = tmp_path_factory.mktemp("graphs"), {}
    events = np.random.default_rng(0).random((STEPS, INPUTS)) < 0.05
    np.save(folder / "events.npy", events)
    for i, (row, make) in enumerate(ROWS.items()):
        sim = ep.Simulator(make(), threads=1)
        times, nodes = sim.run(float(STEPS), {"in": events}, spikes=["rec"]).spikes["rec"]
        ours[str(i)] = np.zeros((STEPS, NEURONS))
        ours[str(i)][np.rint(times).astype(int) - 1, nodes] = 1.0
        for name, given in STEP_RULES.items():
            graph = to_nir(sim, readouts=False, **given)
            nir.write(folder / f"{i} {name}.nir", split_loops(graph) if "split_loop" in row else graph)
    nir.write(folder / "readouts.nir", to_nir(sim, step="euler"))
    subprocess.run([python, str(SCRIPT), str(folder)], check=True, env=os.environ | {"OMP_NUM_THREADS": "1"})
    return folder, ours


def share(ours: np.ndarray, theirs: np.ndarray) -> float:
    """Share of common spikes in percent; a constant shift of time does not count, since their layers take no time."""
    shifted = [(ours[lag:], theirs[: STEPS - lag]) for lag in range(5)]
    return max(200.0 * float((a * b).sum()) / float(a.sum() + b.sum()) for a, b in shifted)


def cells_of_the_page() -> dict[str, list[str]]:
    """The columns of each row of the table."""
    lines = PAGE.read_text().split("| `to_nir(..., readouts=False)` |")[1].splitlines()[2:]
    rows = [[cell.strip() for cell in line.strip("| ").split("|")] for line in lines[: len(ROWS)]]
    return {name: cells for name, *cells in rows}


def test_programs_read_what_the_page_says(found: tuple[pathlib.Path, dict[str, np.ndarray]]) -> None:
    folder, ours = found
    told, theirs = json.loads((folder / "found.json").read_text()), np.load(folder / "found.npz")
    assert told["versions"] == dict(r.split("==") for r in REQUIREMENTS[:3])
    page, text = cells_of_the_page(), PAGE.read_text()
    assert list(page) == list(ROWS)
    assert all(f"{name} {told['versions'][name.lower()]}" in text for name in ("snnTorch", "Norse"))
    for i, name in enumerate(ROWS):
        assert ours[str(i)].sum() > 300
        keys = [f"{program}/{i} {step}" for step in STEP_RULES for program in ("snnTorch", "Norse")]
        for key, written in zip(keys, page[name], strict=True):
            if written == "refused":
                assert "Error" in told["refused"][key]
            else:
                assert share(ours[str(i)], theirs[key]) == pytest.approx(float(written.strip("* %")), abs=0.6), key


def test_neither_program_reads_readouts(found: tuple[pathlib.Path, dict[str, np.ndarray]]) -> None:
    """snnTorch refuses them; Norse leaves them out and puts out what they would receive."""
    folder, _ = found
    told, theirs = json.loads((folder / "found.json").read_text()), np.load(folder / "found.npz")
    assert "nir.ir.neuron.LI" in told["refused"]["snnTorch/readouts"]
    weight = nir.read(folder / "readouts.nir").nodes["rec->out"].weight
    spikes = theirs["Norse/10 euler"]  # the same network without readouts
    np.testing.assert_allclose(theirs["Norse/readouts"], spikes @ weight.T, rtol=1e-4, atol=1e-4)
