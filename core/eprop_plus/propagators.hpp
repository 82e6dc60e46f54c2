// Propagators: the effect of several steps on the state of a synapse; their entries depend only on the target.
//
// A synapse's state x = (filtered spikes and own components of the eligibility, e_bar, e_bar_reg, g) obeys x_t = M_t x_{t-1}. For
// a product of such matrices the core keeps these entries for each neuron (kind.hpp):
//
//     E   component -> e_bar           GE  e_bar -> gradient            G  component -> gradient
//     R   component -> e_bar_reg       GR  e_bar_reg -> gradient        A  component -> own component
//     S   component -> e_reward        SE  e_bar -> e_reward
//
// R and GR exist only with two kappas; with one, rate regularisation is part of the learning signal. S and SE exist only with
// reward traces (rewards.hpp). All other entries are powers of kappa, kappa_reg, gamma and of the filters, and the rewards of the
// interval (e_reward -> gradient); all targets share them (`Powers`).
//
// `block_prefix` leads from the start of the current block of steps to *before* this step. `to_current_block` leads from the
// start of a block to the start of the current one. It is the same for all intervals that begin in that block and end in this
// one. It is composed backward on demand, block by block, and stored for the rest of the block. Long intervals use spans:
// `span_suffixes` lead from the start of a block to the end of its span of blocks. Block-start states
// (eprop_plus/block_start.hpp) need nothing else. Synapses whose state cannot be moved back (eprop_plus/crossing.hpp) start
// within a block: `prefix_history` has the rest of that block, computed for all its steps when the block ends. An interval within
// the current block is composed backward, step by step, and stored in `within_block`. So the cost of a synapse does not depend on
// the length of the interval, nor on whether other synapses share it.
//
// Loops over neurons process all entries at once, component by component. Input and output are different arrays, or the same
// entries of the same neuron.
#pragma once
#include <algorithm>

#include "eprop_plus/rewards.hpp"
#include "network/kind.hpp"
#include "online/state.hpp"
#include "support/simd.hpp"

namespace eprop {

// Rows of a step in History::steps.
enum StepRow : Index { kStepPsi, kStepLearning, kStepRate };

// Neurons `begin` to `end` of one trace group in one partition; the last range includes the padding of the rows.
template <class Real> struct TargetRange {
  OnlineState<Real>& state;
  CachedPropagators* cached;  // null if nothing is looked up
  Index trace_group, begin, end;
};

// End of a loop over neurons up to `end`.
template <class Real> Index padded_end(const OnlineState<Real>& state, Index end) {
  return end == state.topology.n_neurons() ? state.history.block_prefix.columns : end;
}

// The targets of a delay group in a partition.
template <class Real> TargetRange<Real> target_range(OnlineState<Real>& state, Index group, Index partition) {
  const DelayGroup& g = state.groups[group];
  const Array2<const Index>& bounds = state.topology.bounds;
  const Index begin = std::max(bounds(0, partition), g.target_begin), end = std::min(bounds(0, partition + 1), g.target_end);
  return {state, &state.plus.cached[partition][g.trace_group], g.trace_group, begin, padded_end(state, end)};
}

// Decay over several steps: kappa^n, kappa_reg^n and gamma^n of traces, f_ij of filters from filter j to filter i; and the factor
// from a reward trace to the gradient by the rewards of these steps.
template <class T> struct Powers {
  T kappa = 0, kappa_reg = 0, f00 = 0, f01 = 0, f10 = 0, f11 = 0, gamma = 0, reward_factor = 0;
};

// Powers over n steps without rewards.
template <Kind K, class T> Powers<T> powers(const Topology& topology, Index trace_group, Index n) {
  Powers<T> p;
  p.kappa = static_cast<T>(topology.decays(trace_group, kKappa, n));
  p.kappa_reg = static_cast<T>(topology.decays(trace_group, kKappaReg, n));
  if constexpr (K.n_filters > 0) p.f00 = static_cast<T>(topology.filters(trace_group, kForward, n, 0, 0));
  if constexpr (K.n_filters > 1) {
    p.f01 = static_cast<T>(topology.filters(trace_group, kForward, n, 0, 1));
    p.f10 = static_cast<T>(topology.filters(trace_group, kForward, n, 1, 0));
    p.f11 = static_cast<T>(topology.filters(trace_group, kForward, n, 1, 1));
  }
  if constexpr (K.reward) p.gamma = static_cast<T>(topology.decays(trace_group, kGamma, n));
  return p;
}

// Powers over the steps `begin` to `end`.
template <Kind K, class T, class Real>
Powers<T> powers_between(const OnlineState<Real>& state, Index trace_group, Index begin, Index end) {
  Powers<T> p = powers<K, T>(state.topology, trace_group, end - begin);
  if constexpr (K.reward) p.reward_factor = static_cast<T>(reward_factor(state, trace_group, begin, end));
  return p;
}

// Pointers to the rows of an array, in separate variables for the loop that uses them.
template <int n, class T> struct Rows {
  T* row[n];
  T* operator[](int k) const { return row[k]; }
};
template <int n, class T> EPROP_INLINE Rows<n, T> rows_of(const Array2<T>& a) {
  Rows<n, T> out;
  for (int k = 0; k < n; k++) out.row[k] = a.data + k * a.columns;
  return out;
}
template <Kind K, class T> EPROP_INLINE Rows<K.n_entries(), T> entries_of(const Array2<T>& a) {
  return rows_of<K.n_entries()>(a);
}
template <Kind K> EPROP_INLINE Rows<K.n_constants(), const double> constants_of(const Topology& topology) {
  Rows<K.n_constants(), const double> out;
  for (int k = 0; k < K.n_constants(); k++) out.row[k] = topology.eligibility.data + k * topology.eligibility.columns;
  return out;
}
template <class T> Array2<const T> plane_of(const Array3<T>& a, Index i) { return {a.plane(i).data, a.rows, a.columns}; }

// ------------------------------------------------------------------------------------------------------------ copies

template <class From, class To> void copy_rows(Index begin, Index end, int rows, Array2<const From> from, Array2<To> to) {
  for (int k = 0; k < rows; k++) {
    const From* source = from.row(k);
    To* out = to.row(k);
    EPROP_INDEPENDENT
    for (Index neuron = begin; neuron < end; neuron++) out[neuron] = static_cast<To>(source[neuron]);
  }
}

template <Kind K, class From, class To> void copy(Index begin, Index end, Array2<const From> from, Array2<To> to) {
  copy_rows(begin, end, K.n_entries(), from, to);
}

// The propagator over zero steps: own components stay unchanged.
template <class T> void identity(const Kind& kind, Index begin, Index end, const Array2<T>& out) {
  for (int k = 0; k < kind.n_entries(); k++) std::fill(out.row(k) + begin, out.row(k) + end, T(0));
  for (int m = 0; m < kind.n_own; m++) {
    T* stays = out.row(kind.A() + m * kind.n_components() + kind.n_filters + m);
    std::fill(stays + begin, stays + end, T(1));
  }
}

// ------------------------------------------------------------------------------------------------------ one step more

// The step that neurons have just taken, and its reward. Rate regularisation with the same kappa as errors multiplies the
// filtered eligibility, as learning signals do, and joins them; `joined` compensates the different factor. With reward it never
// joins: it does not wait for rewards. Bits do not depend on whether a kind has a trace of its own for regularisation.
template <Kind K, class Real> struct NewStep {
  static_assert(K.two_kappas || !K.reward);
  const Real* psi_;
  const double *signal, *rate;
  double joined, separate, f_target, reward;
  double psi(Index j) const { return static_cast<double>(psi_[j]); }
  double learning(Index j) const { return signal[j] + joined * (rate[j] - f_target); }
  double regularisation(Index j) const { return separate * (rate[j] - f_target); }
};
// A stored step.
struct StoredStep {
  const double *psi_, *learning_, *rate;
  double reward;
  double psi(Index j) const { return psi_[j]; }
  double regularisation(Index j) const { return rate[j]; }
  double learning(Index j) const { return learning_[j]; }
};

// The reward that belongs to step `step` of the propagators.
inline double reward_of_step(const Rewards& rewards, Index step) {
  return rewards.of_step.size > 0 ? rewards.of_step[(step + 1) & (rewards.of_step.size - 1)] : 0.0;
}

template <Kind K, class Real> NewStep<K, Real> new_step(const OnlineState<Real>& state, Index trace_group, Index t) {
  const TraceGroup& group = state.topology.trace_groups[trace_group];
  const Neurons<Real>& neurons = state.neurons;
  const double c_reg = group.joins_signal != 0 ? state.taught * group.c_reg : group.c_reg;
  const bool joins = !K.reward && group.kappa == group.kappa_reg;
  return {neurons.psi.data,
          neurons.signal.data,
          neurons.rate.row(1),
          joins ? (1.0 - group.kappa_reg) * c_reg : 0.0,
          joins ? 0.0 : c_reg,
          group.f_target,
          reward_of_step(state.history.rewards, t)};
}
template <class Real> StoredStep stored_step(const History<Real>& history, Index t) {
  const Index slot = t & (history.steps.planes - 1);
  return {history.steps.row(slot, kStepPsi), history.steps.row(slot, kStepLearning), history.steps.row(slot, kStepRate),
          reward_of_step(history.rewards, t)};
}

// Stores step `t`.
template <Kind K, class Real>
void note_step(const NewStep<K, Real>& step, Index begin, Index end, Index t, History<Real>& history) {
  const Index slot = t & (history.steps.planes - 1);
  double* psi = history.steps.row(slot, kStepPsi);
  double* learning = history.steps.row(slot, kStepLearning);
  double* rate = history.steps.row(slot, kStepRate);
  EPROP_INDEPENDENT
  for (Index j = begin; j < end; j++) {
    psi[j] = step.psi(j);
    learning[j] = step.learning(j);
    if constexpr (K.two_kappas) rate[j] = step.regularisation(j);
  }
}

// Output of the entries of an extended propagator: `out`, and a rounded copy, if there is one.
template <Kind K, class Out, class Copy> struct Extended {
  static constexpr bool kCopies = !std::is_void_v<Copy>;
  Rows<K.n_entries(), Out> out;
  Rows<K.n_entries(), std::conditional_t<kCopies, Copy, Out>> copy;
  EPROP_INLINE void operator()(int entry, Index j, double value) const {
    out[entry][j] = static_cast<Out>(value);
    if constexpr (kCopies) copy[entry][j] = static_cast<Copy>(value);
  }
};

// A propagator over n steps (`before` are their powers), then one step more:
//     e   = psi (c_z f z + c_h h)         the step's eligibility, from component k at the start: f_.k or A_.k
//     GE += L kappa^n    GR += F kappa_reg^n    G += L E + F R    (E, R before the step)
//     E   = kappa E + e    R = kappa_reg R + (1 - kappa_reg) e    A = a A + u e
// With reward r, L leads to the reward trace:
//     SE = gamma SE + L kappa^n    S = gamma S + L E    GE += r SE    G += r S + F R
// In place, or from one array to another.
template <Kind K, class Step, class In, class Write>
void extend_entries(Index begin, Index end, const Step& step, const TraceGroup& group, const Powers<double>& before,
                    const Rows<K.n_constants(), const double> constants, const Rows<K.n_entries(), In> in, const Write write) {
  constexpr int E = K.E(), R = K.R(), GE = K.GE(), GR = K.GR(), G = K.G(), A = K.A();
  constexpr int D = K.n_filters, M = K.n_own, P = K.n_components();
  const double kappa = group.kappa, kappa_reg = group.kappa_reg, fresh = 1.0 - group.kappa_reg, gamma = group.gamma;
  const Powers<double> f = before;
  const Step now = step;
  EPROP_INDEPENDENT
  for (Index j = begin; j < end; j++) {
    const double psi = now.psi(j), learning = now.learning(j);
    double regularisation = 0.0;
    if constexpr (K.two_kappas) regularisation = now.regularisation(j);
    if constexpr (K.reward) {
      const double waiting = gamma * in[K.SE()][j] + learning * f.kappa;
      write(K.SE(), j, waiting);
      write(GE, j, in[GE][j] + now.reward * waiting);
    } else {
      write(GE, j, in[GE][j] + learning * f.kappa);
    }
    if constexpr (K.two_kappas) write(GR, j, in[GR][j] + regularisation * f.kappa_reg);
    unroll<P>([&](auto component) EPROP_INLINED {
      constexpr int k = component;
      const double trace = in[E + k][j];
      double gradient, e = 0.0;
      if constexpr (K.reward) {
        const double waiting = gamma * in[K.S() + k][j] + learning * trace;
        write(K.S() + k, j, waiting);
        gradient = in[G + k][j] + now.reward * waiting;
      } else {
        gradient = in[G + k][j] + learning * trace;
      }
      if constexpr (k < D) e = constants[K.c()][j] * (k == 0 ? f.f00 : f.f01);
      if constexpr (D > 1 && k < D) e += constants[K.c() + 1][j] * (k == 0 ? f.f10 : f.f11);
      double own[kMostOwn];
      unroll<M>([&](auto m) EPROP_INLINED { e += constants[K.c() + D + m][j] * (own[m] = in[A + m * P + k][j]); });
      e *= psi;
      if constexpr (K.two_kappas) {
        const double trace_reg = in[R + k][j];
        gradient += regularisation * trace_reg;
        write(R + k, j, kappa_reg * trace_reg + fresh * e);
      }
      unroll<M>([&](auto m) EPROP_INLINED {
        const auto part = [&](auto n) EPROP_INLINED { return constants[K.a() + M * m + n][j] * own[n]; };
        write(A + m * P + k, j, sum_unrolled<M>(part) + constants[K.u() + m][j] * e);
      });
      write(G + k, j, gradient);
      write(E + k, j, kappa * trace + e);
    });
  }
}

// ------------------------------------------------------------------------------------- one propagator after another

// Component k at the start of a first propagator, at its end: in traces, gradient, own components, filters (f_0, f_1), and in
// the reward trace.
template <class T> struct Reached {
  T e, rate, gradient, f_0, f_1, waiting = 0, own[kMostOwn] = {};
};

// Continues that component through a second propagator over b steps: entries of the composition.
template <Kind K, int k, class T, class Second, class Out>
EPROP_INLINE void follow(Index j, Reached<T> first, const Powers<Out>& b, const Rows<K.n_entries(), const Second>& second,
                         const Rows<K.n_entries(), Out>& out) {
  constexpr int E = K.E(), R = K.R(), G = K.G(), A = K.A(), D = K.n_filters, M = K.n_own, P = K.n_components();
  T g = first.gradient, e = first.e, rate = first.rate, waiting = first.waiting;
  g += second[K.GE()][j] * e;
  if constexpr (K.reward) {
    g += b.reward_factor * waiting;
    waiting = b.gamma * waiting + second[K.SE()][j] * e;
  }
  if constexpr (K.two_kappas) {
    g += second[K.GR()][j] * rate;
    rate *= b.kappa_reg;
  }
  e *= b.kappa;
  const auto add = [&](int component, T value) EPROP_INLINED {
    g += second[G + component][j] * value;
    e += second[E + component][j] * value;
    if constexpr (K.two_kappas) rate += second[R + component][j] * value;
    if constexpr (K.reward) waiting += second[K.S() + component][j] * value;
  };
  if constexpr (D > 0 && k < D) add(0, first.f_0);
  if constexpr (D > 1 && k < D) add(1, first.f_1);
  unroll<M>([&](auto m) EPROP_INLINED { add(D + m, first.own[m]); });
  out[G + k][j] = static_cast<Out>(g);
  out[E + k][j] = static_cast<Out>(e);
  if constexpr (K.two_kappas) out[R + k][j] = static_cast<Out>(rate);
  if constexpr (K.reward) out[K.S() + k][j] = static_cast<Out>(waiting);
  unroll<M>([&](auto m) EPROP_INLINED {
    T own = sum_unrolled<M>([&](auto n) EPROP_INLINED { return second[A + m * P + D + n][j] * first.own[n]; });
    if constexpr (D > 0 && k < D) own += second[A + m * P][j] * first.f_0;
    if constexpr (D > 1 && k < D) own += second[A + m * P + 1][j] * first.f_1;
    out[A + m * P + k][j] = static_cast<Out>(own);
  });
}

// Composes `first`, with powers `a`, and `second`, with powers `b`, into `out`, which is neither of them.
template <Kind K, class Second, class Out> void compose(Index begin, Index end, const Powers<Out>& a, Array2<const Out> first_,
                                                        const Powers<Out>& b, Array2<const Second> second_, Array2<Out> out_) {
  using T = decltype(Out() * Second());
  constexpr int P = K.n_components();
  const auto first = entries_of<K>(first_);
  const auto second = entries_of<K>(second_);
  const auto out = entries_of<K>(out_);
  const Powers<Out> p = a, q = b;
  EPROP_INDEPENDENT
  for (Index j = begin; j < end; j++) {
    T through_e = first[K.GE()][j] + second[K.GE()][j] * p.kappa;
    if constexpr (K.reward) {
      const T waiting = first[K.SE()][j];
      through_e += q.reward_factor * waiting;
      out[K.SE()][j] = static_cast<Out>(q.gamma * waiting + second[K.SE()][j] * p.kappa);
    }
    out[K.GE()][j] = static_cast<Out>(through_e);
    if constexpr (K.two_kappas) out[K.GR()][j] = static_cast<Out>(first[K.GR()][j] + second[K.GR()][j] * p.kappa_reg);
    unroll<P>([&](auto component) EPROP_INLINED {
      constexpr int k = component;
      Reached<T> reached{first[K.E() + k][j], 0, first[K.G() + k][j], k == 0 ? p.f00 : p.f01, k == 0 ? p.f10 : p.f11};
      if constexpr (K.two_kappas) reached.rate = first[K.R() + k][j];
      unroll<K.n_own>([&](auto m) EPROP_INLINED { reached.own[m] = first[K.A() + m * P + k][j]; });
      if constexpr (K.reward) reached.waiting = first[K.S() + k][j];
      follow<K, k>(j, reached, q, second, out);
    });
  }
  static_assert(K.n_filters <= kMostFilters && K.n_own <= kMostOwn);
}

// Composes a step and `second`, with powers `b`, into `out`: `compose` with the matrix of a single step, whose entries are
//     E = c psi    R = (1 - kappa_reg) c psi    GE = L    GR = F    G = 0    A = a + u c psi
//     with reward SE = L    S = 0    GE = r L
template <Kind K, class Real> void prepend(const TargetRange<Real>& targets, const StoredStep& step, const Powers<Real>& b,
                                           Array2<const Real> second_, Array2<Real> out_) {
  constexpr int P = K.n_components(), D = K.n_filters, M = K.n_own;
  const Topology& topology = targets.state.topology;
  const TraceGroup& group = topology.trace_groups[targets.trace_group];
  const Real kappa = static_cast<Real>(group.kappa), kappa_reg = static_cast<Real>(group.kappa_reg);
  const Real fresh = static_cast<Real>(1.0 - group.kappa_reg);
  const auto constants = constants_of<K>(topology);
  const auto second = entries_of<K>(second_);
  const auto out = entries_of<K>(out_);
  const Powers<Real> p = powers<K, Real>(topology, targets.trace_group, 1), q = b;
  const StoredStep now = step;
  EPROP_INDEPENDENT
  for (Index j = targets.begin; j < targets.end; j++) {
    const Real learning = static_cast<Real>(now.learning(j));
    if constexpr (K.reward) {
      out[K.GE()][j] = static_cast<Real>(now.reward) * learning + q.reward_factor * learning + second[K.GE()][j] * kappa;
      out[K.SE()][j] = q.gamma * learning + second[K.SE()][j] * kappa;
    } else {
      out[K.GE()][j] = learning + second[K.GE()][j] * kappa;
    }
    if constexpr (K.two_kappas) out[K.GR()][j] = static_cast<Real>(now.regularisation(j)) + second[K.GR()][j] * kappa_reg;
    const Real psi = static_cast<Real>(now.psi(j));
    unroll<P>([&](auto component) EPROP_INLINED {
      constexpr int k = component;
      const Real e = static_cast<Real>(constants[K.c() + k][j]) * psi;
      Reached<Real> reached{e, fresh * e, 0, k == 0 ? p.f00 : p.f01, k == 0 ? p.f10 : p.f11};
      unroll<M>([&](auto m) EPROP_INLINED {
        reached.own[m] = static_cast<Real>(constants[K.u() + m][j]) * e;
        if constexpr (k >= D) reached.own[m] += static_cast<Real>(constants[K.a() + M * m + k - D][j]);
      });
      follow<K, k>(j, reached, q, second, out);
    });
  }
}

// --------------------------------------------------------------------------------------------------- as time advances

// Propagators from each step of the block that ends before `t` to the end of the block.
template <Kind K, class Real> void end_block(const TargetRange<Real>& targets, Index t) {
  History<Real>& history = targets.state.history;
  const Index ring = history.prefix_history.planes - 1;
  for (Index step = t - 1; step >= t - history.block_steps; step--) {
    const auto rest =
        step == t - 1 ? plane_of(targets.state.plus.identity, 0) : plane_of(history.prefix_history, (step + 1) & ring);
    prepend<K>(targets, stored_step(history, step), powers_between<K, Real>(targets.state, targets.trace_group, step + 1, t),
               rest, history.prefix_history.plane(step & ring));
  }
}

// Propagators from each block of the span that ends before `t` to the end of the span.
template <Kind K, class Real> void end_span(const TargetRange<Real>& targets, Index t) {
  History<Real>& history = targets.state.history;
  const Topology& topology = targets.state.topology;
  const Index mask = history.span_suffixes.planes - 1, steps = history.block_steps, last = t / steps - 1;
  copy<K>(targets.begin, targets.end, plane_of(history.block_propagators, last & mask), history.span_suffixes.plane(last & mask));
  for (Index block = last - 1; block > last - history.span_blocks; block--)
    compose<K>(targets.begin, targets.end, powers<K, Real>(topology, targets.trace_group, steps),
               plane_of(history.block_propagators, block & mask),
               powers_between<K, Real>(targets.state, targets.trace_group, (block + 1) * steps, t),
               plane_of(history.span_suffixes, (block + 1) & mask), history.span_suffixes.plane(block & mask));
}

// Prefetches the row of `prefix_history` that the next step writes: it has left the cache since the last round of the ring.
template <class Real> void fetch_history(const TargetRange<Real>& targets, int entries, Index t) {
  const Array2<Real> row = targets.state.history.prefix_history.plane(t & (targets.state.history.prefix_history.planes - 1));
  for (int k = 0; k < entries; k++)
    for (Index j = targets.begin; j < targets.end; j += 64 / static_cast<Index>(sizeof(Real))) prefetch(row.row(k) + j);
}

// ----------------------------------------------------------------------------------- over intervals of the recent past

// Drops propagators to another block than `current`.
inline void turn_to_block(CachedPropagators& cached, Index current) {
  if (cached.block == current) return;
  cached.block = current;
  std::fill(cached.known.begin(), cached.known.end(), std::uint8_t{0});
}

// Drops propagators to another step than `now`, within its block.
inline void turn_to_step(CachedPropagators& cached, Index now) {
  if (cached.within_step != now) cached.within_step = cached.within_first = now;
}

// Finds the propagators from the start of block `lowest`, and of all blocks between, to the start of block `current`. Each needs
// the one after it, so a group of neurons goes back through all blocks while its numbers are in the nearest cache.
template <Kind K, class Real> void find_to_current_block(const TargetRange<Real>& targets, Index lowest, Index current) {
  OnlineState<Real>& state = targets.state;
  const History<Real>& history = state.history;
  const Array3<Real>& ahead = state.plus.to_current_block;
  const Index mask = ahead.planes - 1, steps = history.block_steps, span = history.span_blocks;
  const Index spans_end = span > 0 ? current / span * span : 0;  // before this block there are only whole spans
  std::vector<std::uint8_t>& known = targets.cached->known;
  const auto begin_before = [&](Index at) { return at > spans_end ? at - 1 : std::max(lowest, (at - 1) / span * span); };
  constexpr Index kNeurons = 512;
  for (Index first = targets.begin; first < targets.end; first += kNeurons) {
    const Index end = std::min(first + kNeurons, targets.end);
    for (Index at = current; at > lowest;) {
      const Index begin = begin_before(at);
      if (!known[begin & mask]) {
        const auto part = plane_of(at > spans_end ? history.block_propagators : history.span_suffixes, begin & mask);
        if (at == current) {
          copy<K>(first, end, part, ahead.plane(begin & mask));
        } else {
          compose<K>(first, end, powers<K, Real>(state.topology, targets.trace_group, (at - begin) * steps), part,
                     powers_between<K, Real>(state, targets.trace_group, at * steps, current * steps), plane_of(ahead, at & mask),
                     ahead.plane(begin & mask));
        }
      }
      at = begin;
    }
  }
  for (Index at = current; at > lowest; at = begin_before(at)) known[begin_before(at) & mask] = 1;
}

// Propagator from the start of block `first` to step `now`, into `interval`; after `find_to_current_block` for all neurons.
template <Kind K, class Real> void find_to_step(const TargetRange<Real>& targets, Index first, Index now) {
  OnlineState<Real>& state = targets.state;
  const History<Real>& history = state.history;
  const Index steps = history.block_steps, current = now / steps;
  const Array2<const double> prefix = plane_of(history.block_prefix, now & (history.block_prefix.planes - 1));
  const Array2<Real> out = state.plus.interval.plane(0);
  if (first == current) {
    copy<K>(targets.begin, targets.end, prefix, out);
  } else {
    const Array3<Real>& ahead = state.plus.to_current_block;
    compose<K>(targets.begin, targets.end, powers<K, Real>(state.topology, targets.trace_group, (current - first) * steps),
               plane_of(ahead, first & (ahead.planes - 1)),
               powers_between<K, Real>(state, targets.trace_group, current * steps, now), prefix, out);
  }
}

// Propagator from step `begin` of the current block to step `now`, into `out`; after `turn_to_step`. For all neurons it is
// stored, with the ones from the steps between; for a few neurons (`keeps` false) it is not.
template <Kind K, class Real>
void find_within_block(const TargetRange<Real>& targets, Index begin, Index now, bool keeps, Array2<Real> out) {
  OnlineState<Real>& state = targets.state;
  const History<Real>& history = state.history;
  const Array3<Real>& within = state.plus.within_block;
  const Index mask = within.planes - 1;
  for (Index step = (keeps ? targets.cached->within_first : now) - 1; step >= begin; step--) {
    const auto rest = step == now - 1 ? plane_of(state.plus.identity, 0) : plane_of(within, (step + 1) & mask);
    prepend<K>(targets, stored_step(history, step), powers_between<K, Real>(state, targets.trace_group, step + 1, now), rest,
               within.plane(step & mask));
  }
  if (keeps) targets.cached->within_first = std::min(targets.cached->within_first, begin);
  copy<K>(targets.begin, targets.end, plane_of(within, begin & mask), out);
}

// Propagator from step `begin` to step `now`, into `out`; after `turn_to_step` and `turn_to_block`.
template <Kind K, class Real> void find_interval(const TargetRange<Real>& targets, Index begin, Index now, Array2<Real> out) {
  OnlineState<Real>& state = targets.state;
  const History<Real>& history = state.history;
  const Index steps = history.block_steps, first = begin / steps + 1, rest = first * steps - begin;
  if (now / steps < first) {
    find_within_block<K>(targets, begin, now, true, out);
    return;
  }
  find_to_current_block<K>(targets, first, now / steps);
  find_to_step<K>(targets, first, now);
  compose<K>(targets.begin, targets.end, powers<K, Real>(state.topology, targets.trace_group, rest),
             plane_of(history.prefix_history, begin & (history.prefix_history.planes - 1)),
             powers_between<K, Real>(state, targets.trace_group, begin + rest, now), plane_of(state.plus.interval, 0), out);
}

}  // namespace eprop
