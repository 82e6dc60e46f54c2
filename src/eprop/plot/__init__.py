"""Figures with Matplotlib. Functions take data and return a figure or axes; none uses pyplot or changes the user's backend.

::

    draw_learning_curve, draw_returns       one run over samples, or steps of an environment   learning.py
    draw_trials, draw_returns_of_trials     several trials, and their tests                    learning.py
    draw_activity, draw_pattern             one sample before and after training               activity.py
    draw_episode                            an episode of an environment                       activity.py
    draw_weights, draw_weight_change        before and after training                          weight_change.py
    draw_constants                          constants that learn, before and after training    constant_change.py
    draw_rewiring                           synapses of each source, before and after they move moved_synapses.py
    draw_band, draw_bars, draw_points       several trials of one or more variants             charts.py
    draw_confusion                          true and predicted classes                         charts.py
    raster, rates, draw_spikes              spikes of populations                              spikes.py
    draw_encoding                           a number, its spikes, the number read from them    encoding.py
    cochleagram                             a sound and the spikes of an ear                   sounds.py
    draw_network                            a schematic of a network                           schematic.py
    Activity, EpisodeRecord                 what a network did in a sample, or in an episode     records.py
    look, save, check_picture               the style                                          style.py
    new_figure, letter, decades, plain, thousands   figures and axes in this style             style.py
    draw_traces, draw_weight_panels         parts of a figure of your own    activity.py, weight_change.py
"""

from eprop.plot.activity import draw_activity, draw_episode, draw_pattern, draw_traces, telling_neuron
from eprop.plot.charts import draw_band, draw_bars, draw_confusion, draw_points
from eprop.plot.constant_change import draw_constants
from eprop.plot.encoding import draw_encoding
from eprop.plot.learning import draw_learning_curve, draw_returns, draw_returns_of_trials, draw_trials
from eprop.plot.moved_synapses import draw_rewiring
from eprop.plot.schematic import draw_network
from eprop.plot.sounds import cochleagram
from eprop.plot.spikes import draw_spikes, raster, rates
from eprop.plot.style import check_picture, decades, letter, look, new_figure, plain, save, thousands
from eprop.plot.weight_change import draw_weight_change, draw_weight_panels, draw_weights

__all__ = [
    "check_picture", "cochleagram", "decades", "draw_activity", "draw_band", "draw_bars",
    "draw_confusion", "draw_constants", "draw_encoding", "draw_episode", "draw_learning_curve", "draw_network",
    "draw_pattern", "draw_points", "draw_returns", "draw_returns_of_trials", "draw_rewiring", "draw_spikes", "draw_traces",
    "draw_trials", "draw_weight_change", "draw_weight_panels", "draw_weights", "letter", "look", "new_figure", "plain",
    "raster", "rates", "save", "telling_neuron", "thousands",
]  # fmt: skip
