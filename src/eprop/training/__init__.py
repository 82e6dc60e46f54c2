"""Training: experiments, learners, the loop that drives them, evaluation."""

from eprop.training.control import Control, PolicyTraining
from eprop.training.experiment import Experiment, Stage, task
from eprop.training.scoring import normalised_error, summed
from eprop.training.settings import Training

__all__ = ["Control", "Experiment", "PolicyTraining", "Stage", "Training", "normalised_error", "summed", "task"]
