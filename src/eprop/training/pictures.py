"""The pictures of a run: the name of each file, with its title and caption on the page of ``eprop report``."""

from __future__ import annotations

#: In the order of the page; a run has those that its task and its results allow.
PICTURES = {
    "learning_curve": ("Learning curve", "Error and loss over the samples learned."),
    "returns": ("Returns", "Mean return of the episodes over steps of the environment, and the rate of the neurons."),
    "episode": ("Episode", "Pictures of a test episode, and the activity of the network below."),
    "confusion": ("Confusion matrix", "Test samples: their true class, and the class that the network chose."),
    "pattern": ("Output", "The readouts before and after training, and their target."),
    "activity": ("Activity", "One test sample, before and after training."),
    "network": ("Network", "Populations, projections and feedback."),
    "weights": ("Weights", "Each weight before and after training."),
}
