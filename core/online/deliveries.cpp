#include "online/deliveries.hpp"

#include <algorithm>
#include <bit>
#include <numeric>

#include "network/few_bits.hpp"
#include "support/threads.hpp"

namespace eprop {
namespace {

constexpr Index kLeastPiece = 512;  // smallest number of branches that a thread describes
constexpr int kNumberBits = 40;     // for the number of an arrival beside its key

// The delay groups `first .. stop` are listed together. `cutoff` and `reward_cutoff` are theirs; `per_step` is the number of
// steps after the last spike that a per-step optimiser takes, or -1.
struct Family {
  Index first, stop;
  Index cutoff, reward_cutoff, per_step;
  Index slot, size;  // filter slot, and its number of components
};

// Record of the previous spike for the spike at a position, for a branch where it arrives in step t.
template <class Real> void describe_arrival(const OnlineState<Real>& state, const Family& family, Index t, Index position,
                                            Index branch, ArrivingBranch& out) {
  const SpikeTimes& times = state.log.times[position & state.log.record_mask()];
  const double* z = record_filters(state.topology, state.log, position, family.slot);
  out.branch = branch;
  out.last = arrived_before(t, times.interval);
  out.optimizer_steps = optimizer_steps_taken(out.last, times.interval_before, family.per_step);
  const Index stride = filter_size(state.topology);
  for (Index d = 0; d < family.size; d++) {
    out.z_last[d] = z[kAtLast * stride + d];
    out.z_before[d] = z[kBeforeLast * stride + d];
    out.z_ahead[d] = z[kAhead * stride + d];
  }
}

// Sorts entries by their upper bits, a key below `keys`; the lower bits number the entries. Many entries are sorted by counting.
void sort_by_key(std::vector<Index>& entries, Index keys, std::vector<Index>& counts, std::vector<Index>& sorted) {
  if (static_cast<Index>(entries.size()) < keys) {
    std::ranges::sort(entries);
    return;
  }
  counts.assign(keys + 1, 0);
  sorted.resize(entries.size());
  for (const Index entry : entries) counts[(entry >> kNumberBits) + 1]++;
  std::partial_sum(counts.begin(), counts.end(), counts.begin());
  for (const Index entry : entries) sorted[counts[entry >> kNumberBits]++] = entry;
  entries.swap(sorted);
}

// Lists the arrivals of a family. Branches that never spiked, or whose last spike is older than the cutoff, come first and count
// as equal. Other branches count as equal if their last spikes arrived in the same block: if the steps agree except for the last
// `bits`. Equal ones keep the order of groups and of the log.
template <class Real> void list_arrivals(OnlineState<Real>& state, const Family& family, Index bits, Index t, int threads) {
  Deliveries& plan = state.deliveries;
  const Index oldest = std::max<Index>(t - family.cutoff, 0), first = static_cast<Index>(plan.arriving.size());
  plan.order.clear();
  plan.logged.clear();
  for (Index group = family.first; group < family.stop; group++) {
    const auto branches = branches_emitted(state, state.groups[group], t - state.groups[group].delay);
    for (Index position = branches.first; position < branches.stop; position++) {
      const Index last = arrived_before(t, state.log.times[position & state.log.record_mask()].interval);
      const Index key = last >= oldest ? (last >> bits) - (oldest >> bits) + 1 : 0;
      plan.order.push_back(key << kNumberBits | static_cast<Index>(plan.order.size()));
      plan.logged.push_back({branches[position], position, group});
    }
  }
  sort_by_key(plan.order, (t >> bits) - (oldest >> bits) + 2, plan.counts, plan.sorted);
  const Index count = static_cast<Index>(plan.order.size()), pieces = std::clamp<Index>(count / kLeastPiece, 1, threads);
  plan.arriving.resize(first + count);
  parallel_for(pieces, threads, [&](Index piece) {
    for (Index k = piece * count / pieces; k < (piece + 1) * count / pieces; k++) {
      const Cursor& spike = plan.logged[plan.order[k] & ((Index{1} << kNumberBits) - 1)];
      describe_arrival(state, family, t, spike.position, spike.branch, plan.arriving[first + k]);
    }
  });
}

// Lists the branches of a family whose last spike arrived `cutoff` steps ago, with no spike since then.
template <class Real>
void list_expired(const OnlineState<Real>& state, const Family& family, Index cutoff, Index t, std::vector<ExpiredBranch>& out) {
  const Topology& topology = state.topology;
  const Index trace_group = state.groups[family.first].trace_group, stride = filter_size(topology);
  const double* one_step = topology.filters.matrix(trace_group, kForward, 1);
  const double* arrival = topology.arrivals.row(trace_group);
  for (Index group = family.first; group < family.stop; group++) {
    const auto branches = branches_emitted(state, state.groups[group], t - cutoff - state.groups[group].delay);
    for (Index position = branches.first; position < branches.stop; position++) {
      const SpikeTimes& times = state.log.times[position & state.log.record_mask()];
      if (is_followed(times, cutoff)) continue;
      const double* ahead = record_filters(topology, state.log, position, family.slot) + kAhead * stride;
      ExpiredBranch branch{branches[position], optimizer_steps_taken(t - cutoff, times.interval, family.per_step), {}, {}};
      for (Index d = 0; d < family.size; d++) {
        double now = one_step[d * family.size] * ahead[0];
        if (family.size == 2) now += one_step[d * family.size + 1] * ahead[1];
        branch.z[d] = now + arrival[d];
        branch.z_before[d] = ahead[d];
      }
      out.push_back(branch);
    }
  }
}

template <class Real> void plan_family(OnlineState<Real>& state, Index first, Index stop, Index t, int threads) {
  const DelayGroup& group = state.groups[first];
  const Family family{first,
                      stop,
                      group.cutoff,
                      group.reward_cutoff,
                      group.per_step_optimizer ? steps_of_optimizer(group) : -1,
                      group.filter_slot,
                      state.topology.filters.size};
  // Synapses that cross blocks need propagators from the exact step of their last spike (eprop_plus/crossing.hpp).
  const bool crosses = !group.onto_readouts && state.topology.kinds(group.kind, 2) == 0;
  const Index bits = crosses ? 0 : std::countr_zero(static_cast<std::uint64_t>(state.history.block_steps));
  list_arrivals(state, family, bits, t, threads);
  list_expired(state, family, family.cutoff, t, state.deliveries.expired);
  if (family.reward_cutoff > 0) list_expired(state, family, family.reward_cutoff, t, state.deliveries.unrewarded);
}

}  // namespace

template <class Real> void plan_deliveries(OnlineState<Real>& state, Index t, bool premature, int threads) {
  Deliveries& plan = state.deliveries;
  const Index groups = static_cast<Index>(state.groups.size());
  plan.arriving.clear();
  plan.expired.clear();
  plan.unrewarded.clear();
  for (Index group = 0; group <= groups; group++) {
    plan.arriving_start[group] = static_cast<Index>(plan.arriving.size());
    plan.expired_start[group] = static_cast<Index>(plan.expired.size());
    plan.unrewarded_start[group] = static_cast<Index>(plan.unrewarded.size());
    if (group == groups || state.groups[group].rule != Rule::eprop_plus || state.groups[group].first_group != group) continue;
    Array2<double>& eta = state.history.eta;  // on all ranks, whichever ranks receive spikes
    const bool now = premature || rounds_at_once(state.groups[group]);
    eta(group, t & (eta.columns - 1)) = now ? state.groups[group].optimizer.eta : 0.0;
    Index stop = group + 1;
    while (stop < groups && state.groups[stop].first_group == group) stop++;
    plan_family(state, group, stop, t, threads);
  }
}

template void plan_deliveries(OnlineState<float>&, Index, bool, int);
template void plan_deliveries(OnlineState<double>&, Index, bool, int);

}  // namespace eprop
