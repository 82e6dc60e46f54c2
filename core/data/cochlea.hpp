// The cochlea: from sound to spikes of bushy cells, sample by sample. Spikes depend only on the sound, the seed and the settings;
// they do not depend on how a stream is cut into chunks.
//
//   resampling -> middle ear -> gammatone filters (places) -> hair cells, fibres and bushy cells (each place and type)
//
// Channel: type * places + place.
#pragma once
#include <cstdint>
#include <vector>

#include "support/aligned.hpp"
#include "support/arrays.hpp"
#include "support/rng.hpp"

namespace eprop {

// Places that are computed together; unused ones of the last group have silent filters.
constexpr Index kPlaces = kBlockDraws;
// Largest number of fibres of a bushy cell, and of steps of a refractory time.
constexpr Index kMaxFibres = 60, kMaxRefractory = 64;

// Parameters, documented in Python's Cochlea. Rates are per step of the hair cells.
struct CochleaSettings {
  Index places, n_fibres, refractory;  // refractory time of fibres and bushy cells, steps
  Index up, down;                      // a sample has up / down steps
  Index n_taps;
  std::vector<double> taps;           // (up, n_taps) of the resampling filter: row k is for steps k / up after a sample
  double middle_ear;                  // weight of the step before, which is subtracted
  std::vector<double> sensitivities;  // factor of the drive of each type
  // Hair cell (Meddis 1986): permeability release (s + a) / (s + a + b), and three pools.
  double a, b, release, replenish, loss, reuptake, reprocess, firing;
  double free, cleft, reprocessing;         // pools at rest
  double keep_current, keep_voltage, gain;  // of a bushy cell: decays per step, effect of a spike of a fibre
};

// Spikes in order of steps, then of channels.
struct CochleaSpikes {
  std::vector<std::int64_t> steps;  // of the hair cells, since the start of the sound
  std::vector<std::int32_t> channels;
};

// One ear that hears one sound.
class Cochlea {
 public:
  // Filters (3, places): real and imaginary part of the pole of a gammatone's stages, and its gain.
  Cochlea(const CochleaSettings& settings, Array2<const double> filters, std::uint64_t seed);
  // Hears further samples, multiplied by `gain`; appends their spikes.
  void hear(Array1<const double> samples, double gain, CochleaSpikes& out);
  // Steps that were heard.
  Index steps() const { return step_; }

 private:
  // Complex stages of the filters of some places, real and imaginary parts.
  struct Filters {
    RealBlock pole[2], gain, stages[4][2];
  };
  // Hair cells, fibres and bushy cells of one type at some places.
  struct Cells {
    WordBlock channels;
    int used;  // bits of the places that exist
    RealBlock free, cleft, reprocessing;
    RealBlock busy;                   // refractory fibres
    RealBlock fired[kMaxRefractory];  // fibres that fired in the last steps, a ring
    RealBlock draws[4];               // uniform, of this step and its neighbours
    RealBlock current, voltage, hold;
  };

  void resample(Array1<const double> samples, double gain);
  void vibrate(Filters& filters, const double* sound, Index n);
  void respond(Index group, Index n);
  void draw(Cells& cells, Index step) const;
  void advance(Cells& cells, Index step, const RealBlock& drive);
  RealBlock count_firing(const RealBlock& p, const RealBlock& ready, const RealBlock& draws) const;

  CochleaSettings settings_;
  std::uint64_t seed_;
  Index groups_, types_, step_ = 0;
  std::vector<double> samples_;  // those that the resampling filter still needs
  Index position_ = 0;           // of the next step in samples_, in units of 1 / up
  double before_ = 0.0;          // sound in the step before
  std::vector<double> sound_;    // behind the middle ear, in the steps to hear
  Aligned<Filters> filters_;
  Aligned<Cells> cells_;              // (groups, types)
  Aligned<RealBlock> velocity_;       // of the basilar membrane, its positive part
  std::vector<std::uint64_t> fired_;  // step and channel of each spike
  double inverse_[kMaxFibres + 1];    // 1 / k
};

// Sounds one after the other, each with its own filters, gain and seed; sound i has samples offsets[i] .. offsets[i + 1] - 1.
struct Sounds {
  Array1<const double> samples;
  Array1<const Index> offsets;
  Array3<const double> filters;  // (n, 3, places)
  Array1<const double> gains;
  Array1<const std::uint64_t> seeds;
};

// Spikes of each sound, in parallel.
std::vector<CochleaSpikes> hear_sounds(const Sounds& sounds, const CochleaSettings& settings, int threads);

}  // namespace eprop
