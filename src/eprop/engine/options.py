"""What is fixed when loops are compiled, beside the models, and the names that combinations of it have in the cache."""

from __future__ import annotations

from typing import NamedTuple

from eprop.kernels.maps import Kind, MapLayout

MAX_KINDS = 3


class Options(NamedTuple):
    """What is fixed when the loops are compiled, beside the models.

    Attributes
    ----------
    kinds : tuple of Kind
        Of the eligibilities that learn by e-prop+; without any, its kernels are left out: half the time to compile.
    two_kappas, moments : bool
        Whether e-prop+ needs two traces per synapse, and moments of gradients.
    each_step, stdp : bool
    divided : bool
        Whether threads divide the neurons, in the loop through time.
    parallel : bool
        Whether they divide the samples of a batch.
    """

    kinds: tuple[Kind, ...] = ()
    two_kappas: bool = False
    moments: bool = False
    each_step: bool = False
    stdp: bool = False
    divided: bool = False
    parallel: bool = False


def plus_label(options: Options) -> str:
    """What loops do at spikes."""
    if not options.kinds:
        return "fixed"
    kinds = "_".join(kind_label(kind) for kind in options.kinds)
    return f"{kinds}_{kappas_label(options.two_kappas)}{moments_label(options)}"


def kind_label(kind: Kind) -> str:
    """A kind of eligibility: components that filter spikes, and hidden ones."""
    return f"{kind.filters}f{kind.hidden}h{'' if kind.anchored else '_crossing'}"


def layout_label(layout: MapLayout) -> str:
    """Maps of a kind of eligibility."""
    return f"{kind_label(Kind(layout.D, layout.M, layout.ANCHORS))}_{kappas_label(layout.BOTH)}"


def kappas_label(two: bool) -> str:
    """Whether errors and rates are filtered alike."""
    return f"{'two' if two else 'one'}_kappa"


def moments_label(options: Options) -> str:
    """What optimisers need; nothing for gradient descent."""
    return f"{'_moments' if options.moments else ''}{'_each' if options.each_step else ''}"
