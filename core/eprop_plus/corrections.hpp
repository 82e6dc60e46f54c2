// Spike corrections: the effect of an arriving spike on block-start states (eprop_plus/block_start.hpp), per target; and
// neuron-major copies of corrections and propagators.
//
// A spike that arrives in step t is added to the filtered spikes of the branch, or to the synapse's own component. Moved back to
// the start of the block it is d, the same for all branches of the step. Its effect there on the trace and on the own component
// of a synapse depends only on the target: this is the spike correction. With p the propagator from the start of the block to t,
// over n steps, and b the increase of an own component at an arrival:
//
//     C_A  own component               -(p[A] d) / p[A, own]; without filters b / p[A, own]
//     C_E  trace                       -(p[E] d + p[E, own] C_A) / kappa^n
//     C_R  regularising trace          -(p[R] d + p[R, own] C_A) / kappa_reg^n
//     C_S  reward trace                -(p[S] d + p[SE] C_E + p[S, own] C_A) / gamma^n
//     C_Q  premature gradient up to t  p[GE] C_E + p[GR] C_R + p[G] d + p[G, own] C_A + reward_factor C_S
//
// The entries of p that lead to the gradient follow, so that the synapse can collect its gradient up to t.
#pragma once
#include "eprop_plus/propagators.hpp"

namespace eprop {

// ---------------------------------------------------------------------------------------------------- neuron-major copies

// Propagators are computed entry by entry, for all neurons, and read neuron by neuron, for the targets of synapses. In a copy
// with adjacent entries of a neuron, a synapse reads one cache line instead of three or more.

// A copy for one target costs about as much as this many copies in the loop over all targets.
inline constexpr Index kCostAlone = 4;

// Start of the copies of all neurons, if neurons of all kinds had this size: populations begin where there is room for the
// largest kind, and the copies of consecutive neurons have a distance that the compiler knows.
template <int entries, class Real> Real* copies_of(const Array3<Real>& copies, Index row, Index first_target) {
  return copies.row(row, 0) + first_target * (copies.columns - record_size(entries));
}

// Copies one neuron.
template <int entries, class Real> void copy_neuron(const Rows<entries, const Real>& from, Index neuron, Real* copies) {
  Real* record = copies + neuron * record_size(entries);
  for (int k = 0; k < entries; k++) record[k] = from[k][neuron];
}

// Copies many neurons, several at a time.
template <int entries, class Real>
void copy_neurons(Index begin, Index end, const Rows<entries, const Real>& from, Real* copies) {
  constexpr int size = static_cast<int>(record_size(entries));
  Index neuron = begin;
  for (; neuron + kTogether <= end; neuron += kTogether) {
    Vector<Real, kTogether> rows[size];
    unroll<size>([&](auto k) EPROP_INLINED {
      if constexpr (k < entries) {
        rows[k] = load<kTogether>(from[k] + neuron);
      } else {
        rows[k] = broadcast<kTogether>(Real(0));
      }
    });
    store_records<size, size>(rows, copies + neuron * size);
  }
  for (; neuron < end; neuron++) copy_neuron(from, neuron, copies);
}

// Branches of a list, arriving or expired, in one partition.
template <class Listed> struct BranchList {
  const Listed* first;
  Index count;
  const Index* start;  // offsets of the synapses of each branch
  Index begin(Index k) const { return start[first[k].branch]; }
  Index end(Index k) const { return start[first[k].branch + 1]; }
  BranchList part(Index from, Index to) const { return {first + from, to - from, start}; }
  // Calls visit(target) for the target of each synapse.
  template <class Visit> void for_targets(const Topology& topology, const Visit& visit) const {
    for (Index k = 0; k < count; k++)
      for (Index synapse = begin(k); synapse < end(k); synapse++) visit(topology.targets.data[synapse]);
  }
};

// Whether the branches have more than this many synapses; counts no further.
template <class Listed> bool have_more(const BranchList<Listed>& branches, Index synapses) {
  Index count = 0;
  for (Index k = 0; k < branches.count; k++) {
    count += branches.end(k) - branches.begin(k);
    if (count > synapses) return true;
  }
  return false;
}

// Copies a propagator that holds for `time`, a step or a block, for the targets of some branches; if that is cheaper, for all
// neurons. `rest` is the number of steps, with this one, in which as many branches may ask for it.
template <int entries, class Real, class Listed>
void copy_for_targets(const TargetRange<Real>& targets, const BranchList<Listed>& branches, const Rows<entries, const Real>& from,
                      Real* copies, Index time, Index& copied, Index rest = 1) {
  if (copied == time) return;
  if (have_more(branches, (targets.end - targets.begin) / (kCostAlone * rest))) {
    copy_neurons(targets.begin, targets.end, from, copies);
    copied = time;
    return;
  }
  copied = -1;  // no longer those of all neurons
  branches.for_targets(targets.state.topology, [&](Index target) { copy_neuron(from, target, copies); });
}

// ------------------------------------------------------------------------------------------------------ spike corrections

// Increase of both filters at a spike, n steps before.
template <Kind K> void arrival_moved_back(const Topology& topology, Index trace_group, Index n, double (&d)[2]) {
  d[0] = d[1] = 0.0;
  if constexpr (K.n_filters > 0) {
    const auto back = [&](Index to, Index from) { return topology.filters(trace_group, kInverse, n, to, from); };
    const double* arrival = topology.arrivals.row(trace_group);
    d[0] = back(0, 0) * arrival[0];
    if constexpr (K.n_filters > 1) {
      d[0] += back(0, 1) * arrival[1];
      d[1] = back(1, 0) * arrival[0] + back(1, 1) * arrival[1];
    }
  }
}

// The inverse of decays over n steps: 1 / kappa^n, 1 / kappa_reg^n, 1 / gamma^n.
template <class Real> struct Growth {
  Real kappa, kappa_reg, gamma;
  Growth(const Topology& topology, Index trace_group, Index n) {
    const auto grow = [&](DecayRow row) { return static_cast<Real>(topology.decays(trace_group, row, n)); };
    kappa = grow(kGrowKappa);
    kappa_reg = grow(kGrowKappaReg);
    gamma = grow(kGrowGamma);
  }
};

// Inputs of the corrections in one step.
template <Kind K, class Real> struct Corrections {
  Array2<const Real> prefix;
  Array2<Real> out;
  Rows<K.n_constants(), const double> constants;
  Real d_0, d_1;  // arrival moved back
  Growth<Real> grow;
  Real reward_factor;  // gradient per reward trace at the start of the block, by the rewards since
};

template <Kind K, class Real> Corrections<K, Real> corrections_of(const TargetRange<Real>& targets, Index t) {
  const OnlineState<Real>& state = targets.state;
  const Index n = t & (state.history.block_steps - 1), group = targets.trace_group;
  double d[2];
  arrival_moved_back<K>(state.topology, group, n, d);
  return {plane_of(state.history.prefix_history, t & (state.history.prefix_history.planes - 1)),
          state.plus.corrections.plane(0),
          constants_of<K>(state.topology),
          static_cast<Real>(d[0]),
          static_cast<Real>(d[1]),
          {state.topology, group, n},
          K.reward ? static_cast<Real>(reward_factor(state, group, t - n, t)) : Real(0)};
}

// Computes the corrections of neurons `begin` to `end`.
template <Kind K, class Real> void correct(Index begin, Index end, const Corrections<K, Real>& c) {
  constexpr int E = K.E(), R = K.R(), G = K.G(), A = K.A(), D = K.n_filters, M = K.n_own;
  const auto p = entries_of<K>(c.prefix);
  const Array2<Real> table = c.out;
  Rows<K.n_corrections(), Real> out;
  for (int k = 0; k < K.n_corrections(); k++) out.row[k] = table.data + k * table.columns;
  const Real d_0 = c.d_0, d_1 = c.d_1, reward_factor = c.reward_factor;
  const Growth<Real> grow = c.grow;
  const auto constants = c.constants;
  EPROP_INDEPENDENT
  for (Index j = begin; j < end; j++) {
    Real own = 0, e = 0, rate = 0;
    if constexpr (D > 0) e = p[E][j] * d_0;
    if constexpr (D > 1) e += p[E + 1][j] * d_1;
    if constexpr (M > 0) {
      Real stays = p[A + D][j];
      stays = stays != 0 ? stays : stays + Real(1);  // 0 only in the padding
      if constexpr (D == 0) {
        own = static_cast<Real>(constants[K.b()][j]) / stays;
        e = p[E][j] * own;
      } else {
        own = p[A][j] * d_0;
        if constexpr (D > 1) own += p[A + 1][j] * d_1;
        own = -own / stays;
        e += p[E + D][j] * own;
      }
    }
    e = -e * grow.kappa;
    Real q = p[K.GE()][j] * e;
    if constexpr (K.two_kappas) {
      if constexpr (D == 0) {
        rate = p[R][j] * own;
      } else {
        rate = p[R][j] * d_0;
        if constexpr (D > 1) rate += p[R + 1][j] * d_1;
        if constexpr (M > 0) rate += p[R + D][j] * own;
      }
      rate = -rate * grow.kappa_reg;
      q += p[K.GR()][j] * rate;
      out[K.C_R()][j] = rate;
      out[K.C_GR()][j] = p[K.GR()][j];
    }
    if constexpr (K.reward) {
      Real waiting = p[K.SE()][j] * e;
      if constexpr (D > 0) waiting += p[K.S()][j] * d_0;
      if constexpr (D > 1) waiting += p[K.S() + 1][j] * d_1;
      if constexpr (M > 0) waiting += p[K.S() + D][j] * own;
      waiting = -waiting * grow.gamma;
      q += reward_factor * waiting;
      out[K.C_S()][j] = waiting;
    }
    if constexpr (D > 0) q += p[G][j] * d_0;
    if constexpr (D > 1) q += p[G + 1][j] * d_1;
    if constexpr (M > 0) {
      q += p[G + D][j] * own;
      out[K.C_A()][j] = own;
    }
    out[K.C_E()][j] = e;
    out[K.C_Q()][j] = q;
    out[K.C_GE()][j] = p[K.GE()][j];
    unroll<K.n_components()>([&](auto k) EPROP_INLINED { out[K.C_G() + k][j] = p[G + k][j]; });
  }
}

// Corrections of step `t`, copied for the targets of some branches: for all neurons or, for few targets, target by target.
template <Kind K, class Real>
void copy_corrections(const TargetRange<Real>& targets, const BranchList<ArrivingBranch>& branches, Real* copies, Index t) {
  if (targets.cached->corrections_copied == t) return;
  const Corrections<K, Real> c = corrections_of<K>(targets, t);
  const auto found = rows_of<K.n_corrections()>(plane_of(targets.state.plus.corrections, 0));
  if (have_more(branches, (targets.end - targets.begin) / kCostAlone)) {
    if (targets.cached->corrections != t) correct<K>(targets.begin, targets.end, c);
    copy_neurons(targets.begin, targets.end, found, copies);
    targets.cached->corrections = targets.cached->corrections_copied = t;
    return;
  }
  branches.for_targets(targets.state.topology, [&](Index target) {
    correct<K>(target, target + 1, c);
    copy_neuron(found, target, copies);
  });
}

}  // namespace eprop
