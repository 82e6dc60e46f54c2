#include "network/rewiring.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <utility>
#include <vector>

#include "support/rng.hpp"

namespace eprop {
namespace {

// Targets are decided in about so many groups, so that the lists of a group are small beside the network. Each group visits all
// branches: more groups take longer, from 16 on noticeably.
constexpr Index kGroups = 8, kLeastGroup = 1 << 18;

// A synapse or a candidate of some target: what it is judged by, in single precision, and its position after the first one.
using Choice = std::uint64_t;
Choice choice(double value, Index at) {
  const auto bits = std::bit_cast<std::uint32_t>(static_cast<float>(value) + 0.0F);  // no negative zero
  constexpr std::uint32_t kSign = 0x80000000;
  return static_cast<Choice>((bits & kSign) != 0 ? ~bits : bits | kSign) << 32 | static_cast<std::uint32_t>(at);
}

// Moves the `n` smallest of some different numbers to the front. No branch depends on the numbers, which no processor can
// predict: std::nth_element takes four times as long.
void choose_smallest(Choice* choices, Index size, Index n) {
  constexpr Index kFew = 16;
  Index low = 0, high = size;
  while (low < n && n < high && high - low > kFew) {
    const Choice first = choices[low], middle = choices[low + (high - low) / 2], last = choices[high - 1];
    const Choice pivot = std::max(std::min(first, middle), std::min(std::max(first, middle), last));
    Index below = low;
    for (Index k = low; k < high; k++) {
      const Choice one = choices[k];
      choices[k] = choices[below];
      choices[below] = one;
      below += one < pivot;
    }
    (n <= below ? high : low) = below;
  }
  if (low < n && n < high) std::sort(choices + low, choices + high);
}

// Discards candidates that are present, or that occur twice.
template <class Real> void discard_present(const RewiredBranches& branches, Index begin, Index end,
                                           const MovedSynapses<Real>& synapses, const Candidates<Real>& candidates) {
  std::vector<char> taken(static_cast<std::size_t>(end - begin));
  std::vector<std::uint32_t> touched;
  const Index stride = branches.sources * branches.delays;
  for (Index source = 0; source < branches.sources; source++) {
    touched.clear();
    const auto each = [&](const Index* start, const auto& visit) {
      for (Index c = 0; c < branches.classes; c++) {
        const Index first = c * stride + source * branches.delays;
        for (Index k = start[first]; k < start[first + branches.delays]; k++) visit(k);
      }
    };
    each(synapses.start, [&](Index k) {
      taken[synapses.targets[k] - begin] = 1;
      touched.push_back(synapses.targets[k]);
    });
    each(candidates.start, [&](Index k) {
      std::uint32_t& target = candidates.targets[k];
      if (std::exchange(taken[target - begin], 1) != 0)
        target = kNoTarget;
      else
        touched.push_back(target);
    });
    for (const std::uint32_t target : touched) taken[target - begin] = 0;
  }
}

// Lists of the entries of each target, block of targets by block of targets: within a list in the order of branches.
class ByTarget {
 public:
  ByTarget(const Index* start, Index n_branches, const std::uint32_t* targets, Index begin, Index end)
      : start_(start), targets_(targets), begin_(begin), counts_(static_cast<std::size_t>(end - begin)) {
    for (Index k = start[0]; k < start[n_branches]; k++)
      if (targets[k] != kNoTarget) counts_[targets[k] - begin]++;
    reached_.assign(start, start + n_branches);
  }
  Index count(Index target) const { return counts_[target - begin_]; }

  Index total() const { return start_[static_cast<Index>(reached_.size())] - start_[0]; }

  // Collects the lists of the targets first .. stop - 1, which follow those of the last call; key(branch, entry) is a choice.
  template <class Key> void collect(Index first, Index stop, const Key& key) {
    first_ = first;
    offsets_.assign(1, 0);
    for (Index target = first; target < stop; target++) offsets_.push_back(offsets_.back() + count(target));
    entries_.resize(static_cast<std::size_t>(offsets_.back()));
    next_.assign(offsets_.begin(), offsets_.end() - 1);
    const auto n_branches = static_cast<Index>(reached_.size());
    for (Index branch = 0; branch < n_branches; branch++) {
      const auto key_of = key(branch);
      const Index end = start_[branch + 1];
      Index k = reached_[branch];
      for (; k < end && (targets_[k] == kNoTarget || targets_[k] < stop); k++)
        if (targets_[k] != kNoTarget) entries_[next_[targets_[k] - first]++] = key_of(k);
      reached_[branch] = k;
    }
  }
  Choice* list(Index target) { return entries_.data() + offsets_[target - first_]; }

 private:
  const Index* start_;
  const std::uint32_t* targets_;
  Index begin_, first_ = 0;
  std::vector<Index> counts_, reached_, offsets_, next_;
  std::vector<Choice> entries_;
};

// What happens in one partition: the first synapse of its table, and for each target the highest choice among its synapses that
// it drops, and among the candidates that it takes; 0: none.
struct Decision {
  Index first, begin;
  std::vector<Choice> drops, takes;
  Index moved = 0;
};

template <class Real> Choice weakness(const MovedSynapses<Real>& synapses, Index first, Index k) {
  return choice(std::fabs(static_cast<double>(synapses.weight[k])), k - first);
}

// The lowest one is best.
template <class Real> Choice loss(Index sign, const RewiringStep& step, const Candidates<Real>& candidates, Index k) {
  const auto score = static_cast<double>(candidates.score[k]);
  const Index at = k - candidates.start[0];
  if (!step.by_gradient) return choice(-score, at);
  if (!std::isfinite(score)) return choice(0.0, at);
  return choice(sign == 0 ? -std::fabs(score) : score * static_cast<double>(sign), at);
}

// Number of synapses that a target drops, if there are enough candidates.
Index droppable(const RewiringStep& step, const Choice* own, Index n) {
  const Choice above_zero = choice(kZero, std::numeric_limits<std::uint32_t>::max());
  if (step.drop == Drop::zero) return std::count_if(own, own + n, [&](Choice one) { return one <= above_zero; });
  return std::min(static_cast<Index>(step.share * static_cast<double>(n) + 0.5), n);
}

// Decides for each target what it drops and takes.
template <class Real> Decision decide(const RewiredBranches& branches, Index begin, Index end, const RewiringStep& step,
                                      const MovedSynapses<Real>& synapses, const Candidates<Real>& candidates) {
  const auto size = static_cast<std::size_t>(end - begin);
  Decision decision{synapses.start[0], begin, std::vector<Choice>(size), std::vector<Choice>(size)};
  ByTarget present(synapses.start, branches.count(), synapses.targets, begin, end);
  ByTarget absent(candidates.start, branches.count(), candidates.targets, begin, end);
  const Index group = std::max((present.total() + absent.total()) / kGroups, kLeastGroup);
  for (Index first = begin, stop = begin; first < end; first = stop) {
    for (Index n = 0; stop < end && n < group; stop++) n += present.count(stop) + absent.count(stop) + 1;
    present.collect(first, stop, [&](Index) { return [&](Index k) { return weakness(synapses, decision.first, k); }; });
    absent.collect(first, stop, [&](Index branch) {
      return [&, sign = branches.sign(branch)](Index k) { return loss(sign, step, candidates, k); };
    });
    for (Index target = first; target < stop; target++) {
      Choice *own = present.list(target), *found = absent.list(target);
      const Index n = std::min(droppable(step, own, present.count(target)), absent.count(target));
      if (n == 0) continue;
      choose_smallest(own, present.count(target), n);
      choose_smallest(found, absent.count(target), n);
      decision.drops[target - begin] = *std::max_element(own, own + n);
      decision.takes[target - begin] = *std::max_element(found, found + n);
      decision.moved += n;
    }
  }
  return decision;
}

template <class Real> void copy(const MovedSynapses<Real>& synapses, Index from, Index to) {
  synapses.targets[to] = synapses.targets[from];
  synapses.weight[to] = synapses.weight[from];
  for (const MovedRow& other : synapses.others) other.copy(from, to);
}

template <class Real> void begin_new(const MovedSynapses<Real>& synapses, Index at, std::uint32_t target, Index now) {
  synapses.targets[at] = target;
  synapses.weight[at] = Real{0};
  for (const MovedRow& other : synapses.others) other.clear(at);
  synapses.born[at] = now;
}

// Moves what remains to the end of the table, from the last synapse on; the starts of the branches follow.
template <class Real> void close_gaps(Index n_branches, const Decision& decision, const MovedSynapses<Real>& synapses) {
  Index end = synapses.start[n_branches], to = end;
  for (Index branch = n_branches - 1; branch >= 0; branch--) {
    const Index begin = synapses.start[branch];
    // Every synapse is copied, and the place of a dropped one is written again: no branch depends on the weights.
    for (Index from = end - 1; from >= begin; from--) {
      const bool stays = weakness(synapses, decision.first, from) > decision.drops[synapses.targets[from] - decision.begin];
      copy(synapses, from, to - 1);
      to -= stays;
    }
    synapses.start[branch] = to;
    end = begin;
  }
}

// Merges remaining and new synapses from the first place of the table on.
template <class Real> void merge(const RewiredBranches& branches, const RewiringStep& step, const Decision& decision, Index now,
                                 const MovedSynapses<Real>& synapses, const Candidates<Real>& candidates) {
  Index to = decision.first;
  for (Index branch = 0; branch < branches.count(); branch++) {
    Index from = synapses.start[branch];
    const Index end = synapses.start[branch + 1];
    synapses.start[branch] = to;
    const Index sign = branches.sign(branch);
    for (Index k = candidates.start[branch]; k < candidates.start[branch + 1]; k++) {
      const std::uint32_t target = candidates.targets[k];
      if (target == kNoTarget || loss(sign, step, candidates, k) > decision.takes[target - decision.begin]) continue;
      for (; from < end && synapses.targets[from] < target; from++, to++)
        if (from != to) copy(synapses, from, to);
      begin_new(synapses, to++, target, now);
    }
    for (; from < end; from++, to++)
      if (from != to) copy(synapses, from, to);
  }
}

}  // namespace

template <class Real> Index rewire(const RewiredBranches& branches, Index begin, Index end, const RewiringStep& step, Index now,
                                   const MovedSynapses<Real>& synapses, const Candidates<Real>& candidates) {
  if (begin >= end) return 0;
  discard_present(branches, begin, end, synapses, candidates);
  const Decision decision = decide(branches, begin, end, step, synapses, candidates);
  if (decision.moved == 0) return 0;
  close_gaps(branches.count(), decision, synapses);
  merge(branches, step, decision, now, synapses, candidates);
  return decision.moved;
}

template <class Real>
void perturb(const RewiredBranches& branches, const Perturbation& perturbation, const MovedSynapses<Real>& synapses) {
  const Index groups = branches.classes * branches.delays, stride = branches.sources * branches.delays;
  for (Index branch = 0; branch < branches.count(); branch++) {
    const Index group = branch / stride * branches.delays + branch % branches.delays;
    const auto index = static_cast<std::uint64_t>(perturbation.nodes[branch % stride / branches.delays] * groups + group);
    for (Index k = synapses.start[branch]; k < synapses.start[branch + 1]; k++) {
      const auto node = static_cast<std::uint32_t>(synapses.targets[k] - branches.target_begin + perturbation.first_node);
      double weight = static_cast<double>(synapses.weight[k]);
      weight = std::copysign(std::max(std::fabs(weight) - perturbation.l1, 0.0), weight);
      if (perturbation.noise > 0.0) weight += perturbation.noise * normal(perturbation.seed, kWeight, node, index);
      synapses.weight[k] = static_cast<Real>(std::clamp(weight, perturbation.low[group], perturbation.high[group]));
    }
  }
}

template void perturb(const RewiredBranches&, const Perturbation&, const MovedSynapses<float>&);
template void perturb(const RewiredBranches&, const Perturbation&, const MovedSynapses<double>&);
template Index rewire(const RewiredBranches&, Index, Index, const RewiringStep&, Index, const MovedSynapses<float>&,
                      const Candidates<float>&);
template Index rewire(const RewiredBranches&, Index, Index, const RewiringStep&, Index, const MovedSynapses<double>&,
                      const Candidates<double>&);

}  // namespace eprop
