// The backward pass of a lane, and the traces that cross from one rollout to the next.
//
// A synapse's traces are linear in the spikes that have arrived. With the eligibility (A, b, c, u) of the target, as of the step
// t from which on everything is processed again,
//
//     eps(t) = A eps(t - 1) + u e(t - 1),   e_bar(t) = kappa e_bar(t - 1)      without the arrivals of step t
//
// contribute eps . mu(t) + e_bar lambda(t) to the gradient, with mu and lambda of the adjoint pass. Their values one rollout
// later are the same sum for an adjoint pass that begins there with one entry of mu and lambda equal to one and has no errors. So
// the cost of a rollout does not depend on the age of its episode, and the result is exact. Readouts have only the trace eps,
// with A = alpha.
#pragma once
#include <utility>

#include "lanes/adjoint.hpp"
#include "lanes/constants.hpp"
#include "lanes/gradients.hpp"
#include "support/threads.hpp"

namespace eprop {

// A pass backward through steps: rows first .. last - 1, the latest one first.
struct RowsBack {
  Index first, last;
};

// Rows of G of a lane: its own work space or, where psi is not needed again, psi.
template <class Real> Array2<Real> rows_of_G(Lane<Real>& lane, Backward<Real>& work) {
  return work.G.rows > 0 ? work.G.view() : lane.psi.view();
}

// Some neurons of a population in the adjoint pass of a lane.
template <class Real> struct AdjointRange {
  const Topology& topology;
  NeuronsOf some;
  Lane<Real>& lane;
  Backward<Real>& work;
  Array2<Real> G;

  const Population& population() const { return topology.populations[some.b]; }
  double* row(Index number) const { return work.adjoint.row(number); }
  void fill(Index number, double value) const { std::fill(row(number) + some.begin, row(number) + some.end, value); }
  // Clears everything but the constant F.
  void clear() const {
    for (Index number = 0; number < work.adjoint.rows; number++)
      if (number != kDrift) fill(number, 0.0);
  }
  // One step back: psi of row t becomes G.
  void step(Index t) const {
    const Population& of = population();
    const AdjointConstants constants{topology.adjoint, of.n_components};
    const AdjointNeurons neurons{some.begin, some.end, of.kappa, of.kappa_gain, constants, work.adjoint.view()};
    if (work.G.rows > 0) std::copy(lane.psi.row(t) + some.begin, lane.psi.row(t) + some.end, G.row(t) + some.begin);
    if (work.products.rows > 0) find_drive(of, neurons, G.row(t), work.drive.row(0));
    step_back_neurons(of, neurons, G.row(t));
    if (work.products.rows > 0) add_products(topology, some, lane, t, work);
  }
  // G of rows that cause no error.
  void skip(const RowsBack& rows) const {
    for (Index t = rows.first; t < rows.last; t++) std::fill(G.row(t) + some.begin, G.row(t) + some.end, Real{0});
  }
  // Stores the contributions of traces as of the last row.
  void keep() const {
    if (work.before.rows == 0) return;
    for (Index i = 0; i < population().n_components; i++)
      std::copy(row(kMu + i) + some.begin, row(kMu + i) + some.end, work.before.row(i) + some.begin);
    std::copy(row(kLambda) + some.begin, row(kLambda) + some.end, work.before.row(work.before.rows - 1) + some.begin);
  }
};

// Calls visit(range) for the neurons of a partition in each population whose inputs learn.
template <class Real, class Visit> void each_learning_range(const Episodes<Real>& episodes, Lane<Real>& lane,
                                                            Backward<Real>& work, Index partition, const Visit& visit) {
  const Topology& topology = episodes.topology;
  for (Index b = 0; b < topology.populations.size; b++) {
    const Population& population = topology.populations[b];
    const NeuronsOf some{b, std::max(topology.bounds(0, partition), population.target_begin),
                         std::min(topology.bounds(0, partition + 1), population.target_end)};
    if (episodes.learning[b] && some.begin < some.end)
      visit(AdjointRange<Real>{topology, some, lane, work, rows_of_G(lane, work)});
  }
}

// The constant F = (c_reg / T + rate_reg) (f_mean - f_target) of some neurons, see adjoint.hpp. The mean rate counts the steps
// whose spikes can still reach a readout within their episode and the rollout.
template <class Real> void find_drift(const AdjointRange<Real>& at, const std::vector<Segment>& segments) {
  const Population& population = at.population();
  const auto [b, begin, end] = at.some;
  const Index shift = population.first_target - population.first_source;
  double* drift = at.row(kDrift);
  at.fill(kDrift, 0.0);
  Index length = 0;
  for (const Segment& segment : segments) {
    const Index earlier = segment.step == 0 ? std::min(population.error_latency, at.lane.age) : 0;
    for (Index t = segment.begin - earlier; t < segment.end - population.error_latency; t++, length++)
      for (Index k = at.lane.start(t, b); k < at.lane.start(t, b + 1); k++)
        if (const Index j = at.lane.log[k] + shift; begin <= j && j < end) drift[j] += 1.0;  // else another partition has it
  }
  const double steps = static_cast<double>(std::max<Index>(length, 1));
  for (Index j = begin; j < end; j++) {
    const double excess = drift[j] / steps - population.f_target;
    drift[j] = population.c_reg * excess / steps + population.rate_reg * excess;
  }
}

// Sources of the errors of a lane: its index in a request and the request.
struct ErrorsOf {
  const Request& request;
  Index index;
};

// The adjoint pass of some neurons through all episodes of a rollout. Errors end with each episode.
template <class Real> void adjoint_episodes(const AdjointRange<Real>& at, const std::vector<Segment>& segments,
                                            const Episodes<Real>& episodes, const ErrorsOf& errors, Watch& watch) {
  const Request& request = errors.request;
  const Population& population = at.population();
  Index done = segments.back().end;  // rows from here on have their G
  for (std::size_t k = segments.size(); k-- > 0;) {
    const auto& [begin, end, step] = segments[k];
    const Index back = k == 0 ? std::min(episodes.horizon.latency, at.lane.age) : 0;
    const Index counted = begin - (k == 0 ? std::min(population.error_latency, at.lane.age) : 0);  // first row in the mean rate
    const RowsBack rows{begin - back, std::max(end - population.error_latency, begin - back)};
    const Array2<const double> error{at.lane.error.values.data(), end, at.lane.error.columns};
    const SignalSources sources{episodes.feedback, request.external, request.samples[errors.index], episodes.steps, begin - step};
    at.skip({rows.last, done});
    at.clear();
    bool silent = true;  // whether the learning signals are zero
    for (Index t = rows.last - 1; t >= rows.first && !watch.stopped(at.some.end - at.some.begin); t--) {
      if (t == counted - 1) at.fill(kDrift, 0.0);
      silent = find_signals(at.topology, at.some, t, error, sources, silent, at.row(kSignal));
      at.step(t);
    }
    done = rows.first;
  }
  at.skip({0, done});
  at.keep();
}

// G of the readouts in some rows, starting from `later` in the row after them.
template <class Real> void adjoint_readouts(const Topology& topology, const RowsBack& rows, bool with_errors, double later,
                                            Lane<Real>& lane, Backward<Real>& work) {
  const Array2<Real> G = rows_of_G(lane, work);
  const Index first = topology.n_neurons();
  double* sum = work.later.row(0);
  std::fill_n(sum, topology.n_readouts(), later);
  for (Index t = rows.last - 1; t >= rows.first; t--) {
    for (Index k = 0; k < topology.n_readouts(); k++) {
      sum[k] = (with_errors ? lane.error(t, k) : 0.0) + topology.readouts[k].alpha * sum[k];
      G(t, first + k) = static_cast<Real>(sum[k]);
    }
    add_products_of_readouts(topology, lane, t, work);
  }
  if (work.before.rows > 0) std::copy_n(sum, topology.n_readouts(), work.before.row(0) + first);
}

// G of the readouts through all episodes; 0 in other rows.
template <class Real> void adjoint_of_readouts(const Topology& topology, const std::vector<Segment>& segments, Index latency,
                                               Lane<Real>& lane, Backward<Real>& work) {
  const Array2<Real> G = rows_of_G(lane, work);
  for (Index t = 0; t < segments.back().end; t++) std::fill_n(G.row(t) + topology.n_neurons(), topology.n_readouts(), Real{0});
  for (std::size_t k = segments.size(); k-- > 0;)
    adjoint_readouts(topology, {segments[k].begin - (k == 0 ? std::min(latency, lane.age) : 0), segments[k].end}, true, 0.0, lane,
                     work);
}

// Copies given errors of a lane to its rows; other rows are 0.
template <class Real>
void take_errors(Lane<Real>& lane, const std::vector<Segment>& segments, const Array2<const double>& errors) {
  std::fill(lane.error.values.begin(), lane.error.values.begin() + segments.back().end * lane.error.columns, 0.0);
  for (const Segment& segment : segments)
    if (segment.end > segment.begin && errors.columns > 0)
      std::copy(errors.row(segment.step), errors.row(segment.step) + (segment.end - segment.begin) * errors.columns,
                lane.error.row(segment.begin));
}

template <class Real>
GradientTerms<Real> terms_of(const Episodes<Real>& episodes, Lane<Real>& lane, const Backward<Real>& work, Array2<Real> G) {
  const Index rows = episodes.used_rows(lane);
  const Array2<const Index> start{lane.start.values.data(), rows, lane.start.columns};
  return {rows, {G.data, G.rows, G.columns}, start, lane.log.data(), work.first.row(0), work.steps.data()};
}

template <class Real> void sort_spikes(const Episodes<Real>& episodes, const Lane<Real>& lane, Backward<Real>& work) {
  sort_by_source({lane.start.values.data(), episodes.used_rows(lane), lane.start.columns}, lane.log,
                 {work.first.row(0), work.first.columns}, work.steps);
}

// The whole adjoint pass of a lane: G of all targets, contributions of its traces, and its spikes by source. Threads divide its
// partitions.
template <class Real> void look_back(const Episodes<Real>& episodes, Lane<Real>& lane, const ErrorsOf& errors, int threads,
                                     Backward<Real>& work, Watch& watch) {
  const Topology& topology = episodes.topology;
  const std::vector<Segment> segments = segments_of(episodes, lane);
  std::fill(work.before.values.begin(), work.before.values.end(), 0.0);
  std::fill(work.products.values.begin(), work.products.values.end(), 0.0);
  if (const Array3<const double>& given = errors.request.given_errors; given.planes > 0)
    take_errors(lane, segments, given.plane(errors.index));
  const auto one = [&](Index p, Watch& own) {
    each_learning_range(episodes, lane, work, p, [&](const AdjointRange<Real>& at) {
      find_drift(at, segments);
      adjoint_episodes(at, segments, episodes, errors, own);
    });
  };
  if (threads == 1) {
    for (Index p = 0; p < topology.n_partitions(); p++) one(p, watch);
  } else {
    parallel_for(topology.n_partitions(), threads, [&](Index p) {
      const FlushSubnormals flush;
      Watch own{watch.stop, p == 0 ? watch.interrupt : Interrupt{}};  // index 0 is the calling thread
      one(p, own);
    });
  }
  adjoint_of_readouts(topology, segments, episodes.horizon.latency, lane, work);
  sort_spikes(episodes, lane, work);
}

// Adds the contributions of traces, by target (`before`), to the synapses of a piece.
template <class Real> void add_traces(const Episodes<Real>& episodes, const GradientPiece& piece, const Owned2<Real>& traces,
                                      const Owned2<double>& before, Real scale, Array1<Real> to) {
  const Topology& topology = episodes.topology;
  const DelayGroup& group = topology.groups[piece.group];
  for (Index p = 0; p < topology.n_partitions(); p++) {
    const Index end = topology.branch_start(p, group.first_branch + piece.end * group.branch_stride);
    for (Index synapse = topology.branch_start(p, group.first_branch + piece.begin * group.branch_stride); synapse < end;
         synapse++) {
      double sum = 0.0;
      for (Index c = 0; c < traces.rows; c++)
        sum += static_cast<double>(traces.values[c * traces.columns + synapse]) *
               before.values[c * before.columns + topology.targets[synapse]];
      to[synapse] += scale * static_cast<Real>(sum);
    }
  }
}

// An adjoint pass without errors that begins after `rows` with one entry of mu (trace number `c`), or lambda (the last one),
// equal to one.
template <class Real>
void look_back_for_trace(const Episodes<Real>& episodes, Lane<Real>& lane, Index c, const RowsBack& rows, Backward<Real>& work) {
  std::fill(work.G.values.begin(), work.G.values.begin() + episodes.used_rows(lane) * work.G.columns, Real{0});
  std::fill(work.before.values.begin(), work.before.values.end(), 0.0);
  std::fill(work.products.values.begin(), work.products.values.end(), 0.0);
  for (Index p = 0; p < episodes.topology.n_partitions(); p++)
    each_learning_range(episodes, lane, work, p, [&](const AdjointRange<Real>& at) {
      const bool filtered = c == episodes.horizon.components;
      if (!filtered && c >= at.population().n_components) return;
      at.clear();
      at.fill(kDrift, 0.0);
      at.fill(filtered ? kLambda : kMu + c, 1.0);
      for (Index t = rows.last - 1; t >= rows.first; t--) at.step(t);
      at.keep();
    });
  if (c == 0) adjoint_readouts(episodes.topology, rows, false, 1.0, lane, work);
}

// The traces of a lane as of `latency` steps before the end of its rollout, for the next rollout.
template <class Real> void carry_traces(Episodes<Real>& episodes, Lane<Real>& lane, Backward<Real>& work, Index thread) {
  const Segment last = segments_of(episodes, lane).back();
  const Index latency = episodes.horizon.latency, reached = lane.cuts.empty() ? std::min(latency, lane.age) : 0;
  const RowsBack rows{last.begin - reached, last.end - latency};
  const bool continues = lane.traced && lane.cuts.empty();
  lane.traced = rows.last > rows.first;
  if (!lane.traced) return;
  sort_spikes(episodes, lane, work);
  set_units(work, lane_sizes(episodes), {episodes.rows, episodes.rows, episodes.horizon.traces()});
  for (Index c = 0; c < episodes.horizon.traces(); c++) {
    look_back_for_trace(episodes, lane, c, rows, work);
    const Array1<Real> to{work.traces.row(c), work.traces.columns};
    std::fill(to.data, to.data + to.size, Real{0});
    for (const GradientPiece& piece : episodes.plan.pieces) {
      accumulate_terms(tables_of(episodes, thread), piece, terms_of(episodes, lane, work, work.G.view()), Real{1}, to);
      if (continues) add_traces(episodes, piece, lane.traces, work.before, Real{1}, to);
    }
    if (work.products.rows == 0) continue;
    if (continues) add_product_traces(lane.product_traces, work);
    std::copy(work.products.values.begin(), work.products.values.end(), work.product_traces.row(c * work.products.rows));
  }
  std::swap(lane.traces, work.traces);
  std::swap(lane.product_traces, work.product_traces);
}

}  // namespace eprop
