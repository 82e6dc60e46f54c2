"""A stop-watch inside compiled loops: where the time of a step goes.

A row of the clock is one thread's: a lap adds the ticks since the row's last lap to a phase. A clock without rows stands still.
"""

from __future__ import annotations

from eprop._jit import inline, ticks

# Of a partition: between steps, maps and signals, delivery, neurons, readouts. Of the loop: between calls, plans and
# logs of spikes, the partitions side by side, errors of readouts.
OUTSIDE, MAPS, DELIVER, ADVANCE, READOUT = range(5)
EXCHANGE, REGION = 1, 2
LAST = 5
COLUMNS = 6


@inline
def lap(clock, row, phase):
    """Add the ticks since the last lap of ``row`` to ``phase``; writes ``clock`` (rows, COLUMNS)."""
    if clock.shape[0] > 0:
        now = ticks()
        clock[row, phase] += now - clock[row, LAST]
        clock[row, LAST] = now
