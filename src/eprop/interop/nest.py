"""The same network in NEST 3.10, to verify any result. Needs the extra ``nest``.

::

    from eprop.interop.nest import to_nest

    theirs = to_nest(net).run(300.0, {"in": events}, {"out": target})
    ours = ep.Simulator(net).run(300.0, {"in": events}, {"out": target}, record=[("rec", "v")])
    abs(theirs.v["rec"] - ours["rec", "v"]).max()  # 1e-15 or so

Populations become the neurons of `NEURONS` and ``eprop_readout``, projections become ``eprop_synapse``. With the rule `EProp`
they become the ``_bsshslm_2020`` models, which do not exist for neurons that reset to a fixed voltage. NEST draws no numbers:
connections, weights and feedback come from a `Simulator`.

Clocks (found by experiment). *Step* ``s`` of NEST is the step that its recorders report at time ``(s + 1) dt``. A spike
generator's time ``g dt`` makes a parrot emit at step ``g``; a spike emitted at ``s`` arrives at ``s + 1``. A rate generator's
value of time ``a dt`` is in the readout from step ``a`` on.

* e-prop+ and networks that do not learn: one empty step comes first, then the same steps as here. With `Adam` there is no
  empty step, because NEST's optimiser counts the steps of the clock; so the first step must have neither input nor learning
  window.
* e-prop: NEST's neurons and readouts process a sample one step apart, so that a sample of ``T`` steps has ``T - 1`` steps
  there. Step ``s`` of sample ``m`` is step ``m (T - 1) + s + 2``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy.typing as npt

from eprop.engine import Samples, Simulator
from eprop.engine.run.checks import check_samples, steps_in
from eprop.engine.run.inputs import Arrangement, Given
from eprop.engine.run.samples import SampleLayout
from eprop.errors import InputError, NetworkError, optional_module
from eprop.interop.nest_models import (
    NEURONS,
    check_constants,
    check_currents,
    check_first_step,
    check_network,
    check_targets,
    learning_window_of,
    optimizers_of,
)
from eprop.interop.nest_results import NestResult, run_of, training_of
from eprop.interop.nest_session import FIRST_STEP, SUFFIX, Session
from eprop.network import Network
from eprop.rules import Adam, EProp


def to_nest(network: Network, simulator: Simulator | None = None) -> NestNetwork:
    """Prepare a network for NEST.

    Parameters
    ----------
    network : Network
    simulator : Simulator, optional
        Source of the weights and of constants that learn, as they are now. The default is what the description draws.

    Returns
    -------
    NestNetwork
        Its `run` and `train` take the arguments of a `Simulator`.

    Raises
    ------
    MissingExtraError
        If NEST is not installed.
    NetworkError
        If NEST cannot do something that the network describes; the text says what.

    Warns
    -----
    UserWarning
        If the network has a `Rewiring`: NEST keeps the present connections.
    """
    if not isinstance(network, Network):
        raise NetworkError(f"to_nest needs a Network, got {network!r:.80}")
    theirs = getattr(simulator, "network", None)
    if simulator is not None and not (isinstance(theirs, Network) and theirs.has_parts_of(network)):
        raise NetworkError("to_nest: the simulator must be built from this network, without later changes")
    nest_module()
    simulator = simulator or Simulator(network, threads=1)
    check_network(network, simulator)
    return NestNetwork(network, simulator)


def nest_module() -> Any:
    """The module ``nest``, or `MissingExtraError`."""
    return optional_module("nest", "nest", "Comparison with NEST", "nest-simulator")


class NestNetwork:
    """A network in NEST; made by `to_nest`. Every run starts from rest with the same weights."""

    def __init__(self, network: Network, simulator: Simulator):
        self.network = network
        self._simulator = simulator
        self._eprop = any(isinstance(p.rule, EProp) for p in network.projections)

    def run(
        self,
        duration: float,
        inputs: Mapping[str, Any] | None = None,
        targets: Mapping[str, Any] | None = None,
        window: npt.ArrayLike | None = None,
    ) -> NestResult:
        """Run as `Simulator.run` does, for networks that learn by `EPropPlus` or do not learn.

        Parameters
        ----------
        duration, inputs, targets, window
            Arguments of `Simulator.run`.

        Returns
        -------
        NestResult
            Arrays with a row for each step; ``seconds`` is empty.

        Raises
        ------
        NetworkError
            If the network learns by `EProp`, or has repeated connections.
        InputError
            If the arguments do not fit the network; with `Adam` also if the first step has input, or lies in the learning
            window.
        MemoryLimitError
            If the input does not fit into memory.
        """
        if self._eprop:
            raise NetworkError("NEST learns by EProp from samples: use train()")
        n_steps = steps_in("duration", duration, self.network.dt)
        samples = Arrangement(SampleLayout.of(self.network), 1, n_steps, run=True).samples(
            Given(inputs, targets, window)
        )
        check_currents(samples)
        if any(isinstance(o, Adam) for o in optimizers_of(self.network)):
            check_first_step(samples, "with Adam at every spike, NEST's clock is its step count", window=True)
        return run_of(Session(nest_module(), self._simulator, [samples]))

    def train(self, batches: Samples | Iterable[Samples], *, record: bool = True) -> NestResult:
        """Train as `Simulator.train` does, one batch after the other, for networks that learn by `EProp`.

        All batches have the same number of samples and steps, and the same learning window, which is the last steps of a
        sample. The first step of a sample must have no input, because NEST would miss a part of the gradient before. Every
        readout needs a target, because NEST has one learning window for all readouts.

        Parameters
        ----------
        batches : Samples or iterable of Samples
            One mini-batch, or several.
        record : bool
            If False, NEST records outputs and losses only, and runs at its normal speed.

        Returns
        -------
        NestResult
            Arrays with a row for each sample. ``weights`` has a row for each batch and one more, ``seconds`` has a row for each
            batch. Without ``record``, only ``y``, ``loss`` and ``seconds``.

        Raises
        ------
        NetworkError
            If the network does not learn by `EProp`, or has repeated connections; if constants learn from more than one batch.
        InputError
            If there is no batch, or a batch does not meet the conditions above or belongs to another network; with
            ``average_gradient`` also if the first step lies in the learning window.
        """
        if not self._eprop:
            raise NetworkError("the network does not learn by EProp: use run()")
        given = [batches] if isinstance(batches, Samples) else list(batches)
        check_constants(self.network, len(given))
        n_window = learning_window_of(given)
        for batch in given:
            check_samples(SampleLayout.of(self.network), batch)
            check_first_step(batch, "NEST loses a part of the gradient at spikes that arrive so early", window=False)
        averaged = any(getattr(p.rule, "average_gradient", False) for p in self.network.projections)
        if averaged and given[0].window[0, 0].any():
            raise InputError(
                "average_gradient: NEST's learning window is one step shorter than a sample; set window to 0 in the first step"
            )
        for batch in given:
            check_targets(self.network, batch)
        # The spikes of one more batch show the weights after the last update.
        shown = [*given, given[-1]] if record else given
        return training_of(Session(nest_module(), self._simulator, shown, window=n_window, record=record), given)


__all__ = ["FIRST_STEP", "NEURONS", "SUFFIX", "NestNetwork", "NestResult", "nest_module", "to_nest"]
