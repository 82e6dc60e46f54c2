// What acts on neurons besides synapses: Poisson background, noise and currents, drawn by counter: a draw depends on (seed, node,
// stimulus, step) only. Currents may also be given for each step. What is lost of the neurons' spikes is drawn likewise.
#pragma once
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <vector>

#include "network/tables.hpp"
#include "support/rng.hpp"

namespace eprop {

// Currents of all samples, given for each step in units of the input.
struct GivenCurrents {
  Array3<const double> values;  // (samples or 0, steps, columns) of own neurons
  Array1<const Index> first;    // (populations,) column of its first own neuron, or -1
  Array1<const Index> row;      // (populations,) row of the state that takes the current, or -1: the input takes it
  Array1<const double> rest;    // (columns,) what remains of a current after a step
};

// A step of the random clock, and the inputs of this step: `factor` (stimuli) multiplies rates, currents and noise, or is null.
struct DriveStep {
  std::uint64_t seed;
  Index clock;
  const double* factor;
  const GivenCurrents& given;
  Index sample, step;  // of the given currents
  double of(Index stimulus) const { return factor == nullptr ? 1.0 : factor[stimulus]; }
  std::uint64_t counter(const Drive& drive) const {
    return (static_cast<std::uint64_t>(drive.stimulus) << 48) | static_cast<std::uint64_t>(clock);
  }
};

// Limits of the draws of 32 bits that give Poisson numbers, by the inverse of their distribution: probabilities are exact to
// 2^-32.
class PoissonLimits {
 public:
  static constexpr int kMost = 64;  // enough for a mean of 10: the rest has a probability below 2^-32

  explicit PoissonLimits(double mean) : mean_(mean), p_(std::exp(-mean)), below_(p_) {}
  // The draws below it give a number up to the number of calls before.
  std::int64_t next() {
    const auto limit = static_cast<std::int64_t>(std::ceil(below_ * 4294967296.0));
    p_ *= mean_ / ++number_;
    below_ += p_;
    return limit;
  }

 private:
  double mean_, p_, below_;
  int number_ = 0;
};

// Nodes of a drive whose draws are made together. The upper 16 bits of 64 draws are the words of eight counters; they nearly
// always tell a Poisson number. The lower ones, with a counter for each, are made only where an upper half equals that of a
// limit.
constexpr Index kDrawn = 64;
class PoissonDraws {
 public:
  using Halves = std::uint16_t __attribute__((vector_size(64)));
  static constexpr Index kLanes = sizeof(Halves) / sizeof(std::uint16_t), kRegisters = kDrawn / kLanes;

  // Of the nodes 64 block .. 64 block + 63.
  PoissonDraws(const DriveStep& step, const Drive& drive, Index block)
      : seed_(step.seed), counter_(step.counter(drive)), first_(kDrawn * block) {
    WordBlock words[2];
    const auto target = static_cast<std::uint64_t>(kBlockDraws * block);
    philox_block(seed_, kStimulus, {target + WordBlock{0, 1, 2, 3, 4, 5, 6, 7}, WordBlock{} + counter_}, words[0], words[1]);
    std::memcpy(upper_, words, sizeof words);
  }
  const Halves& upper(Index part) const { return upper_[part]; }
  std::uint32_t upper_of(Index k) const { return upper_[k / kLanes][k % kLanes]; }
  std::int64_t whole(Index k) const {
    const std::uint64_t lower = philox(seed_, kTie, static_cast<std::uint32_t>(first_ + k), counter_).first & 0xFFFF;
    return static_cast<std::int64_t>((std::uint64_t{upper_of(k)} << 16) | lower);
  }

 private:
  std::uint64_t seed_, counter_;
  Index first_;
  Halves upper_[kRegisters];
};

// The Poisson number of node k of some draws.
inline Index poisson_number(double mean, const PoissonDraws& draws, Index k) {
  PoissonLimits limits(mean);
  const std::int64_t upper = draws.upper_of(k);
  Index n = 0;
  for (std::int64_t limit = limits.next(); n < PoissonLimits::kMost; limit = limits.next(), n++)
    if (upper == limit >> 16 ? draws.whole(k) < limit : upper < limit >> 16) break;
  return n;
}

// Poisson numbers with one mean, 32 to a register. Those above a limit that few draws exceed are found one by one.
class PoissonTable {
 public:
  explicit PoissonTable(double mean) : mean_(mean) {
    PoissonLimits limits(mean);
    std::int64_t limit = 0;
    while (count_ < PoissonLimits::kMost && kAll - limit >= kFew && (limit = limits.next()) < kAll)
      upper_[count_++] = static_cast<std::uint16_t>(limit >> 16);
  }
  double mean() const { return mean_; }
  void operator()(const PoissonDraws& draws, std::int16_t (&numbers)[kDrawn]) const {
    PoissonDraws::Halves found[PoissonDraws::kRegisters] = {}, nearest[PoissonDraws::kRegisters], undecided{};
    for (PoissonDraws::Halves& some : nearest) some = ~PoissonDraws::Halves{};
    for (int k = 0; k < count_; k++)
      for (Index part = 0; part < PoissonDraws::kRegisters; part++) {
        const PoissonDraws::Halves& upper = draws.upper(part);
        const PoissonDraws::Halves distance = upper ^ upper_[k];
        found[part] -= upper > upper_[k];
        nearest[part] = nearest[part] < distance ? nearest[part] : distance;
      }
    std::memcpy(numbers, found, sizeof found);
    if (count_ == 0) return;
    for (Index part = 0; part < PoissonDraws::kRegisters; part++)
      undecided |= (nearest[part] == 0) | (found[part] == static_cast<std::uint16_t>(count_));
    std::uint64_t words[sizeof undecided / sizeof(std::uint64_t)], any = 0;
    std::memcpy(words, &undecided, sizeof undecided);
    for (const std::uint64_t word : words) any |= word;
    for (Index k = 0; any != 0 && k < kDrawn; k++)
      if (undecided[k % PoissonDraws::kLanes] != 0) numbers[k] = static_cast<std::int16_t>(poisson_number(mean_, draws, k));
  }

 private:
  static constexpr std::int64_t kAll = std::int64_t{1} << 32, kFew = kAll >> 11;

  double mean_;
  std::uint16_t upper_[PoissonLimits::kMost];  // halves of the limits
  int count_ = 0;
};

// Tables of all drives whose neurons have the same rate. They stay until rates change.
class PoissonTables {
 public:
  void follow(const Topology& topology, const DriveStep& step) {
    tables_.resize(topology.drives.size, PoissonTable(0.0));
    for (Index k = 0; k < topology.drives.size; k++) {
      const Drive& drive = topology.drives[k];
      if (drive.kind != DriveKind::poisson || drive.same_rate == 0) continue;
      const double mean = step.of(drive.stimulus) * topology.drive_values(kDriveValue, drive.values);
      if (mean != tables_[k].mean()) tables_[k] = PoissonTable(mean);
    }
  }
  const PoissonTable& operator[](Index drive) const { return tables_[drive]; }

 private:
  std::vector<PoissonTable> tables_;
};

// Adds weight times a Poisson number to the input of each neuron begin .. end of a drive.
template <class Real> void poisson_drive(const Topology& topology, const Drive& drive, Index begin, Index end,
                                         const PoissonTable& same, const DriveStep& step, Real* input) {
  const double factor = step.of(drive.stimulus);
  const double* mean = topology.drive_values.row(kDriveValue) + drive.values - drive.begin;
  const double* weight = topology.drive_values.row(kDriveSpread) + drive.values - drive.begin;
  const Index shift = drive.first_node - drive.begin;  // node within the population minus target
  for (Index block = (begin + shift) / kDrawn; block * kDrawn < end + shift; block++) {
    const PoissonDraws draws(step, drive, block);
    std::int16_t numbers[kDrawn];
    const Index before = block * kDrawn - shift;  // target of its first node
    const Index first = std::max(begin, before), stop = std::min(end, before + kDrawn);
    if (drive.same_rate != 0) {
      same(draws, numbers);
    } else {
      for (Index neuron = first; neuron < stop; neuron++)
        numbers[neuron - before] = static_cast<std::int16_t>(poisson_number(factor * mean[neuron], draws, neuron - before));
    }
    // One weight for all is not read for each: the memory of the neurons has to stay in the second-level cache.
    const double* __restrict weights = drive.same_weight != 0 ? nullptr : weight;
    const double one = weight[begin];
#pragma GCC ivdep
    for (Index neuron = first; neuron < stop; neuron++)
      input[neuron] +=
          static_cast<Real>(weights == nullptr ? one : weights[neuron]) * static_cast<Real>(numbers[neuron - before]);
  }
}

// Adds a current to a neuron. Where the input is a decaying current, the row of that current gets the value before the step, and
// the input what remains of it afterwards is taken from.
template <class Real> void add_current(double added, double rest, Real* current, Real& input) {
  if (current == nullptr) {
    input += static_cast<Real>(added);
  } else {
    *current += static_cast<Real>(added);
    input -= static_cast<Real>(rest * added);
  }
}

// Adds a current to each neuron begin .. end of a drive: a mean, and noise that is drawn anew in each step. Values are in units
// of the input.
template <class Real> void current_drive(const Topology& topology, const Drive& drive, Index begin, Index end, double factor,
                                         const DriveStep& step, Array2<Real> state, Real* input) {
  const double* mean = topology.drive_values.row(kDriveValue) + drive.values - drive.begin;
  const double* spread = topology.drive_values.row(kDriveSpread) + drive.values - drive.begin;
  const double* rest = topology.drive_values.row(kDriveRest) + drive.values - drive.begin;
  const Index shift = drive.first_node - drive.begin;
  Real* current = drive.row >= 0 ? state.row(drive.row) : nullptr;
  for (Index block = (begin + shift) / kBlockDraws; block * kBlockDraws < end + shift; block++) {
    double noise[kBlockDraws] = {};
    if (drive.kind == DriveKind::noise)
      normal_block(step.seed, kStimulus,
                   {static_cast<std::uint64_t>(block * kBlockDraws) + WordBlock{0, 1, 2, 3, 4, 5, 6, 7},
                    WordBlock{} + step.counter(drive)},
                   noise);
    const Index first = std::max(begin, block * kBlockDraws - shift), stop = std::min(end, (block + 1) * kBlockDraws - shift);
    for (Index neuron = first; neuron < stop; neuron++) {
      const double added = factor * (mean[neuron] + spread[neuron] * noise[neuron + shift - block * kBlockDraws]);
      add_current(added, rest[neuron], current == nullptr ? nullptr : current + neuron, input[neuron]);
    }
  }
}

// Adds the given currents of a step to the neurons begin .. end of population b.
template <class Real> void given_currents(const Topology& topology, Index b, Index begin, Index end, const DriveStep& step,
                                          Array2<Real> state, Real* input) {
  const GivenCurrents& given = step.given;
  if (given.values.planes == 0 || given.first[b] < 0) return;
  const Index shift = given.first[b] - topology.populations[b].target_begin;
  const double* values = given.values.row(step.sample, step.step);
  Real* current = given.row[b] >= 0 ? state.row(given.row[b]) : nullptr;
  for (Index neuron = begin; neuron < end; neuron++)
    add_current(values[neuron + shift], given.rest[neuron + shift], current == nullptr ? nullptr : current + neuron,
                input[neuron]);
}

// Drives of neurons begin .. end of population b in a step, before they advance; `input` has a row for each receptor, `tables`
// follow the step.
template <class Real> void apply_drives(const Topology& topology, Index b, Index begin, Index end, const DriveStep& step,
                                        const PoissonTables& tables, Array2<Real> state, Array2<Real> input) {
  for (Index k = 0; k < topology.drives.size; k++) {
    const Drive& drive = topology.drives[k];
    const Index first = std::max(begin, drive.begin), stop = std::min(end, drive.end);
    const double factor = step.of(drive.stimulus);
    if (first >= stop || factor == 0.0) continue;
    if (drive.kind == DriveKind::poisson) {
      poisson_drive(topology, drive, first, stop, tables[k], step, input.row(drive.receptor));
    } else {
      current_drive(topology, drive, first, stop, factor, step, state, input.row(0));
    }
  }
  given_currents(topology, b, begin, end, step, state, input.row(0));
}

// Removes what is lost of the spikes of population b from the entries begin .. end of a list of neurons; returns the new end.
inline Index drop_spikes(const Population& population, Index b, const DriveStep& step, Index begin, Index end,
                         std::int32_t* spikes) {
  const auto index = (static_cast<std::uint64_t>(b) << 48) | static_cast<std::uint64_t>(step.clock);
  Index kept = begin;
  for (Index k = begin; k < end; k++) {
    const auto node = static_cast<std::uint32_t>(spikes[k] - population.target_begin + population.first_node);
    if (uniform(step.seed, kDropout, node, index) >= population.dropout) spikes[kept++] = spikes[k];
  }
  return kept;
}

}  // namespace eprop
