"""Progress of the build of a network."""

from __future__ import annotations

import numpy as np

import eprop as ep
from eprop.display import Display
from eprop.engine.build.assemble import build
from eprop.engine.build.connections import BuildProgress


class Shares(Display):
    """Keeps what a bar would show."""

    def __init__(self) -> None:
        super().__init__(quiet=True)
        self.shares: list[float] = []

    def draw(self, name: str, done: float, total: float, text: str) -> None:
        """Keep the share."""
        self.shares.append(done / total)
        assert text.startswith(f"{100 * done / total:.0f} % of the connections, ")


def test_all_connections_are_counted_each_time_they_are_drawn():
    net = ep.Network(seed=3)
    source, target = net.add(ep.PoissonSource(rate=5.0), 40, "in"), net.add(ep.LIF(), 60, "rec")
    net.connect(source, target, ep.FixedIndegree(7), delay=ep.Uniform(1.0, 9.0))
    net.connect(target, target, ep.FixedIndegree(11))
    shown = Shares()
    build(net, 2, np.float64, threads=2, report=BuildProgress(net, 1, shown))
    assert shown.shares == sorted(shown.shares)
    assert len(shown.shares) >= 5
    assert 0.0 < shown.shares[0] < 1.0
    assert shown.shares[-1] == 1.0
