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

inline Index poisson_number(double mean, std::uint32_t draw) {
  PoissonLimits limits(mean);
  Index n = 0;
  while (n < PoissonLimits::kMost && static_cast<std::int64_t>(draw) >= limits.next()) n++;
  return n;
}

// Poisson numbers with one mean, sixteen to a register.
class PoissonTable {
 public:
  using Draws = std::uint32_t __attribute__((vector_size(64)));
  using Numbers = std::int32_t __attribute__((vector_size(64)));

  explicit PoissonTable(double mean) : mean_(mean) {
    PoissonLimits limits(mean);
    for (int k = 0; k < PoissonLimits::kMost; k++) {
      const std::int64_t limit = limits.next();
      if (limit >= std::int64_t{1} << 32) break;
      limit_[count_++] = static_cast<std::uint32_t>(limit);
    }
  }
  double mean() const { return mean_; }
  template <int registers> void operator()(const Draws (&draws)[registers], Numbers (&numbers)[registers]) const {
    for (Numbers& some : numbers) some = Numbers{};
    for (int k = 0; k < count_; k++)
      for (int part = 0; part < registers; part++) numbers[part] -= draws[part] >= limit_[k];
  }

 private:
  double mean_;
  std::uint32_t limit_[PoissonLimits::kMost];
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

// Nodes whose Poisson numbers are drawn together, and the blocks of eight counters for them, 32 nodes each.
constexpr Index kDrawn = 64, kCounterBlocks = 2;

// 32-bit draws of the nodes 64 block .. 64 block + 63: for each block of counters the first words, then the second words.
inline void drive_draws(const DriveStep& step, const Drive& drive, Index block,
                        PoissonTable::Draws (&draws)[2 * kCounterBlocks]) {
  for (Index k = 0; k < kCounterBlocks; k++) {
    WordBlock words[2];
    const auto target = static_cast<std::uint64_t>((kCounterBlocks * block + k) * kBlockDraws);
    philox_block(step.seed, kStimulus, {target + WordBlock{0, 1, 2, 3, 4, 5, 6, 7}, WordBlock{} + step.counter(drive)}, words[0],
                 words[1]);
    std::memcpy(draws + 2 * k, words, sizeof words);
  }
}

// Adds weight times a Poisson number to the input of each neuron begin .. end of a drive.
template <class Real> void poisson_drive(const Topology& topology, const Drive& drive, Index begin, Index end,
                                         const PoissonTable& same, const DriveStep& step, Real* input) {
  const double factor = step.of(drive.stimulus);
  const double* mean = topology.drive_values.row(kDriveValue) + drive.values - drive.begin;
  const double* weight = topology.drive_values.row(kDriveSpread) + drive.values - drive.begin;
  const Index shift = drive.first_node - drive.begin;  // node within the population minus target
  for (Index block = (begin + shift) / kDrawn; block * kDrawn < end + shift; block++) {
    PoissonTable::Draws draws[2 * kCounterBlocks];
    PoissonTable::Numbers numbers[2 * kCounterBlocks];
    drive_draws(step, drive, block, draws);
    const Index before = block * kDrawn - shift;  // target of its first node
    const Index first = std::max(begin, before), stop = std::min(end, before + kDrawn);
    if (drive.same_rate != 0) {
      same(draws, numbers);
    } else {
      for (Index neuron = first; neuron < stop; neuron++) {
        const Index k = neuron - before;
        numbers[k / 16][k % 16] = static_cast<std::int32_t>(poisson_number(factor * mean[neuron], draws[k / 16][k % 16]));
      }
    }
    std::int32_t drawn[kDrawn];
    std::memcpy(drawn, numbers, sizeof drawn);
    // One weight for all is not read for each: the memory of the neurons has to stay in the second-level cache.
    const double* __restrict weights = drive.same_weight != 0 ? nullptr : weight;
    const double one = weight[begin];
#pragma GCC ivdep
    for (Index neuron = first; neuron < stop; neuron++)
      input[neuron] += static_cast<Real>(weights == nullptr ? one : weights[neuron]) * static_cast<Real>(drawn[neuron - before]);
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
