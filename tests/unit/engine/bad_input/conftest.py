"""Two simulators that survive whatever they are given."""

from __future__ import annotations

import pytest

import eprop as ep
from refusals import network


@pytest.fixture(scope="module")
def sim() -> ep.Simulator:
    return ep.Simulator(network(), threads=1)


@pytest.fixture(scope="module")
def learner() -> ep.Simulator:
    return ep.Simulator(network(ep.EProp()), threads=1)
