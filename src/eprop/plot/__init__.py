"""Figures with Matplotlib. Functions take data and return a figure or axes; none uses pyplot or changes the user's backend.

::

    draw_learning_curve     error and loss over samples                        learning_curve.py
    draw_trials             error and loss of several trials, and their tests  trial_curves.py
    draw_activity           one sample before and after training               activity.py
    draw_pattern            output and target                              pattern.py
    draw_weights, draw_weight_change      before and after training           weight_change.py
    draw_event_cost         time per event over interval, cutoff or size       cost.py
    draw_confusion          true against predicted classes                     confusion.py
    draw_band, draw_bars, draw_points      several trials of one or more variants        compare.py
    draw_network            a schematic of a network                           schematic.py
    draw_returns, draw_returns_of_trials, draw_episode   learning from reward            returns.py, episode.py
    draw_run                all figures for the folder of a run, or of trials  run_figures.py
    write_report            one HTML page about a run, or about trials         html_page.py
    look, save, check_picture   the style                                         style.py
"""

from eprop.plot.activity import draw_activity, telling_neuron
from eprop.plot.compare import draw_band, draw_bars, draw_points
from eprop.plot.confusion import draw_confusion
from eprop.plot.cost import draw_event_cost
from eprop.plot.episode import draw_episode
from eprop.plot.html_page import write_report
from eprop.plot.learning_curve import draw_learning_curve
from eprop.plot.pattern import draw_pattern
from eprop.plot.returns import draw_returns, draw_returns_of_trials
from eprop.plot.run_figures import draw_run
from eprop.plot.schematic import draw_network
from eprop.plot.style import check_picture, look, save
from eprop.plot.trial_curves import draw_trials
from eprop.plot.weight_change import draw_weight_change, draw_weights

__all__ = [
    "check_picture", "draw_activity", "draw_band", "draw_bars", "draw_confusion", "draw_episode", "draw_event_cost",
    "draw_learning_curve", "draw_network", "draw_pattern", "draw_points", "draw_returns", "draw_returns_of_trials", "draw_run",
    "draw_trials", "draw_weight_change", "draw_weights", "look", "save", "telling_neuron", "write_report",
]  # fmt: skip
