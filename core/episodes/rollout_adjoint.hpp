// The adjoint pass of continuing rollouts, and the traces that cross from one rollout to the next.
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

#include "episodes/adjoint.hpp"
#include "episodes/gradients.hpp"
#include "episodes/rollout.hpp"

namespace eprop {

// A pass backward through steps: rows first .. last - 1, the latest one first.
struct RowsBack {
  Index first, last;
};

// The neurons of a population in the adjoint pass of a stream.
template <class Real> struct AdjointPopulation {
  const Topology& topology;
  Index number;
  const Population& population;
  const SampleSlot<Real>& slot;
  RolloutWork<Real>& work;
  Index begin() const { return population.target_begin; }
  Index end() const { return population.target_end; }
  double* row(Index number) const { return work.adjoint.row(number); }
  void fill(Index number, double value) const { std::fill(row(number) + begin(), row(number) + end(), value); }
  void clear() const {
    for (Index number = 0; number < work.adjoint.rows; number++) fill(number, 0.0);
  }
  // One step back: psi of row t becomes G.
  void step(Index t) const {
    const AdjointNeurons neurons{
        begin(), end(), population.kappa, {topology.adjoint, population.n_components}, work.adjoint.view()};
    const bool alike = topology.params(topology.params.rows - 1, begin()) != 0.0;
    Real* G = work.G.row(t);
    std::copy(slot.psi.row(t) + begin(), slot.psi.row(t) + end(), G + begin());
    step_back_neurons(population, alike, neurons, G);
  }
  // Stores the contributions of traces as of the last row.
  void keep() const {
    for (Index i = 0; i < population.n_components; i++)
      std::copy(row(kMu + i) + begin(), row(kMu + i) + end(), work.before.row(i) + begin());
    std::copy(row(kLambda) + begin(), row(kLambda) + end(), work.before.row(work.before.rows - 1) + begin());
  }
};

// The constant F of each neuron of a population. The mean rate counts the steps whose spikes can still reach a readout within
// their episode and the rollout.
template <class Real>
void rollout_drift(const RolloutStream<Real>& stream, const std::vector<Segment>& segments, Index b, AdjointPopulation<Real> at) {
  const Population& population = at.population;
  const Index shift = population.first_target - population.first_source;
  std::vector<double>& drift = at.work.drift;
  std::fill(drift.begin() + at.begin(), drift.begin() + at.end(), 0.0);
  Index length = 0;
  for (const Segment& segment : segments) {
    const Index begin = segment.step == 0 ? segment.begin - std::min(population.error_latency, stream.age) : segment.begin;
    for (Index t = begin; t < segment.end - population.error_latency; t++, length++)
      for (Index k = stream.slot.start(t, b); k < stream.slot.start(t, b + 1); k++) drift[stream.slot.log[k] + shift] += 1.0;
  }
  const double steps = static_cast<double>(std::max<Index>(length, 1));
  for (Index j = at.begin(); j < at.end(); j++) drift[j] = population.c_reg * (drift[j] / steps - population.f_target) / steps;
}

// The adjoint pass of the neurons of a population through an episode whose errors end before row `error_end`. `first`: the row of
// the first step that counts.
template <class Real> void adjoint_segment(AdjointPopulation<Real> at, const RowsBack& rows, Index first, Index error_end,
                                           const SignalSources& sources, Watch& watch) {
  const Array2<const double> error{at.work.error.values.data(), error_end, at.work.error.columns};
  at.clear();
  std::copy(at.work.drift.begin() + at.begin(), at.work.drift.begin() + at.end(), at.row(kDrift) + at.begin());
  bool silent = true;  // whether the learning signals are zero
  for (Index t = rows.last - 1; t >= rows.first && !watch.stopped(at.end() - at.begin()); t--) {
    if (t == first - 1) at.fill(kDrift, 0.0);
    silent = find_signals(at.topology, {at.number, at.begin(), at.end()}, t, error, sources, silent, at.row(kSignal));
    at.step(t);
  }
}

// G of the readouts in some rows, starting from `later` in the row after them.
template <class Real>
void adjoint_readouts(const Topology& topology, const RowsBack& rows, bool with_errors, double later, RolloutWork<Real>& work) {
  for (Index k = 0; k < topology.n_readouts(); k++) {
    double sum = later;
    for (Index t = rows.last - 1; t >= rows.first; t--) {
      sum = (with_errors ? work.error(t, k) : 0.0) + topology.readouts[k].alpha * sum;
      work.G(t, topology.n_neurons() + k) = static_cast<Real>(sum);
    }
    work.before(0, topology.n_neurons() + k) = sum;
  }
}

// Clears the rows of one stream's work space for another pass.
template <class Real> void clear_work(const Rollout<Real>& rollout, const RolloutStream<Real>& stream, RolloutWork<Real>& work) {
  const Index rows = rollout.rows(stream);
  std::fill(work.G.values.begin(), work.G.values.begin() + rows * work.G.columns, Real{0});
  std::fill(work.before.values.begin(), work.before.values.end(), 0.0);
}

template <class Real>
GradientTerms<Real> terms_of(const Rollout<Real>& rollout, const RolloutStream<Real>& stream, const RolloutWork<Real>& work) {
  const Index rows = rollout.rows(stream);
  const Array2<const Index> start{stream.slot.start.values.data(), rows, stream.slot.start.columns};
  return {rows, work.G.view(), start, stream.slot.log.data(), work.first.data(), work.steps.data()};
}

template <class Real> void sort_spikes(const Rollout<Real>& rollout, const RolloutStream<Real>& stream, RolloutWork<Real>& work) {
  sort_by_source({stream.slot.start.values.data(), rollout.rows(stream), stream.slot.start.columns}, stream.slot.log, work.first,
                 work.steps);
}

// The whole adjoint pass of stream `number`: G of all targets, contributions of its traces, and its spikes by source.
template <class Real> void look_back(const Rollout<Real>& rollout, Index number, const BackwardRequest& request,
                                     RolloutWork<Real>& work, Watch& watch) {
  const RolloutStream<Real>& stream = rollout.streams[number];
  const Array2<const double> errors = request.errors.plane(number);
  const Topology& topology = rollout.batch.topology;
  const std::vector<Segment> segments = segments_of(rollout, stream);
  clear_work(rollout, stream, work);
  std::fill(work.error.values.begin(), work.error.values.begin() + rollout.rows(stream) * work.error.columns, 0.0);
  for (const Segment& segment : segments)
    if (segment.end > segment.begin && errors.columns > 0)
      std::copy(errors.row(segment.step), errors.row(segment.step) + (segment.end - segment.begin) * errors.columns,
                work.error.row(segment.begin));
  const Index reached = std::min(rollout.horizon.latency, stream.age);
  for (Index b = 0; b < topology.populations.size; b++) {
    const Population& population = topology.populations[b];
    if (!rollout.batch.learning[b] || population.target_begin == population.target_end) continue;
    const AdjointPopulation<Real> at{topology, b, population, stream.slot, work};
    rollout_drift(stream, segments, b, at);
    for (std::size_t k = segments.size(); k-- > 0;) {
      const auto& [begin, end, step] = segments[k];
      const Index back = k == 0 ? reached : 0, counted = k == 0 ? std::min(population.error_latency, stream.age) : 0;
      const SignalSources sources{request.feedback, request.outside, number, rollout.steps, begin - step};
      adjoint_segment(at, {begin - back, end - population.error_latency}, begin - counted, end, sources, watch);
    }
    at.keep();
  }
  for (std::size_t k = segments.size(); k-- > 0;)
    adjoint_readouts(topology, {segments[k].begin - (k == 0 ? reached : 0), segments[k].end}, true, 0.0, work);
  sort_spikes(rollout, stream, work);
}

// Adds the contributions of traces, by target (`before`), to the synapses of a piece.
template <class Real> void add_traces(const Batch<Real>& batch, const GradientPiece& piece, const Owned2<Real>& traces,
                                      const Owned2<double>& before, Real scale, Array1<Real> to) {
  const Topology& topology = batch.topology;
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
template <class Real> void look_back_for_trace(const Rollout<Real>& rollout, const RolloutStream<Real>& stream, Index c,
                                               const RowsBack& rows, RolloutWork<Real>& work) {
  const Topology& topology = rollout.batch.topology;
  clear_work(rollout, stream, work);
  for (Index b = 0; b < topology.populations.size; b++) {
    const Population& population = topology.populations[b];
    const bool filtered = c == rollout.horizon.components;
    if (!rollout.batch.learning[b] || population.target_begin == population.target_end) continue;
    if (!filtered && c >= population.n_components) continue;
    const AdjointPopulation<Real> at{topology, b, population, stream.slot, work};
    at.clear();
    at.fill(filtered ? kLambda : kMu + c, 1.0);
    for (Index t = rows.last - 1; t >= rows.first; t--) at.step(t);
    at.keep();
  }
  if (c == 0) adjoint_readouts(topology, rows, false, 1.0, work);
}

// The traces of a stream as of `latency` steps before the end of its rollout, for the next rollout.
template <class Real>
void carry_traces(Rollout<Real>& rollout, RolloutStream<Real>& stream, RolloutWork<Real>& work, Index thread) {
  Batch<Real>& batch = rollout.batch;
  const Segment last = segments_of(rollout, stream).back();
  const Index latency = rollout.horizon.latency, reached = stream.cuts.empty() ? std::min(latency, stream.age) : 0;
  const RowsBack rows{last.begin - reached, last.end - latency};
  const bool went_on = stream.traced && stream.cuts.empty();
  stream.traced = rows.last > rows.first;
  if (!stream.traced) return;
  sort_spikes(rollout, stream, work);
  if (work.traces.rows == 0) work.traces = Owned2<Real>(rollout.horizon.traces(), batch.topology.targets.size);
  for (Index c = 0; c < rollout.horizon.traces(); c++) {
    look_back_for_trace(rollout, stream, c, rows, work);
    const Array1<Real> to{work.traces.row(c), work.traces.columns};
    std::fill(to.data, to.data + to.size, Real{0});
    for (const GradientPiece& piece : batch.plan.pieces) {
      accumulate_terms(batch, piece, terms_of(rollout, stream, work), Real{1}, thread, to);
      if (went_on) add_traces(batch, piece, stream.traces, work.before, Real{1}, to);
    }
  }
  std::swap(stream.traces, work.traces);
}

}  // namespace eprop
