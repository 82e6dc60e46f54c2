"""What an encoder does: a number that changes in time, its spikes, and the number that can be read from them."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure, SubFigure
from matplotlib.ticker import MaxNLocator

from eprop.encoders import Encoder
from eprop.plot.style import BLACK, BLUE, ORANGE, look, new_figure


def draw_encoding(
    encoder: Encoder,
    values: npt.ArrayLike,
    n_steps: int = 20,
    *,
    dt: float = 1.0,
    seed: int = 0,
    figure: Figure | SubFigure | None = None,
) -> Figure | SubFigure:
    """Draw a number over time, the number decoded from its spikes, and the spikes of all channels.

    Parameters
    ----------
    encoder : Encoder
    values : array, shape (observations,)
        One entry that changes in time.
    n_steps : int
        Steps of the network for each observation.
    dt : float
        Length of a step, ms.
    seed : int
        Seed of random spikes.
    figure : matplotlib figure, optional
        By default a new one.

    Returns
    -------
    matplotlib.figure.Figure
    """
    given = np.asarray(values, np.float64).reshape(1, -1, 1)
    spikes = encoder.encode_series(given, n_steps, seed=seed)
    decoded = encoder.decode_series(spikes, n_steps)[0, :, 0]
    if np.isnan(encoder.memory(1, (1,))).any():  # the code has changes only: it starts at the first value
        decoded = decoded + given[0, 0, 0]
    with look():
        figure = figure or new_figure(3.2, 3.0)
        above, below = figure.subplots(2, 1, sharex=True, height_ratios=(2, 3))
        ends = dt * n_steps * np.arange(given.size + 1)
        above.stairs(decoded, ends, color=ORANGE, lw=1.2, label="decoded", baseline=None)
        above.stairs(given[0, :, 0], ends, color=BLACK, lw=0.8, label="value", baseline=None)
        above.legend(loc="lower left", bbox_to_anchor=(0.0, 1.0), ncols=2, borderaxespad=0.0)
        above.set_title(type(encoder).__name__, pad=16.0)
        above.set_ylabel("value")
        steps, channels = np.nonzero(spikes[0])
        below.yaxis.set_major_locator(MaxNLocator("auto", integer=True))
        below.plot(dt * steps, channels, "|", ms=3.0, mew=0.6, color=BLUE, rasterized=True)
        below.set(xlabel="time (ms)", ylabel="channel", xlim=(0.0, ends[-1]), ylim=(-0.5, spikes.shape[2] - 0.5))
    return figure
