// Recorded events: parsing of files, binning of events, checks and deskewing of binned recordings.
#pragma once
#include <cstdint>
#include <vector>

#include "support/arrays.hpp"

namespace eprop {

// Samples as active channels per step: step s of sample i has the channels ptr(i, s) .. ptr(i, s + 1) - 1.
struct BinnedView {
  Array2<const Index> ptr;
  Array1<const std::int32_t> channels;
};

// Samples made by the core; a row has one more offset than steps.
struct Binned {
  std::vector<std::int32_t> channels;
  std::vector<Index> ptr;
};

// Events of consecutive samples: sample i has offsets[i] .. offsets[i + 1] - 1.
struct EventsView {
  Array1<const std::int32_t> times;     // microseconds, >= 0, in any order
  Array1<const std::int32_t> channels;  // 0 .. n_channels - 1, checked by the caller
  Array1<const Index> offsets;
};

struct Bins {
  Index n_channels, n_steps;
  double step_us;
};

// Bins samples, each channel at most once a step; drops events at or after n_steps * step_us.
Binned bin_events(const EventsView& events, const Bins& bins, int threads);

// Copies the samples in order, renumbering channels and dropping those numbered -1; the other numbers ascend.
Binned renumber_channels(const BinnedView& data, Array1<const std::int32_t> number);

// Fault of a binned data set, and its sample (-1: none).
enum class BinnedFault : int { kNone = 0, kOffsets = 1, kRange = 2, kOrder = 3 };
struct BinnedFaultAt {
  Index sample;
  BinnedFault kind;
};
BinnedFaultAt find_fault(const BinnedView& data, Index n_channels);

// Fault of an event of a file, and its position (file, byte of the event in the file).
enum class EventFault : int { kNone = 0, kPosition = 1, kTime = 2 };
struct EventFaultAt {
  Index file, byte;
  EventFault kind;
};

struct DecodedEvents {
  std::vector<std::int32_t> times, channels;
  std::vector<Index> offsets;
};

// Decodes and checks the five-byte events of N-MNIST, in consecutive files (file i: bytes offsets[i] .. offsets[i + 1] - 1, a
// multiple of 5). Big-endian: x (8 bits), y (8), polarity (1), time in microseconds (23).
EventFaultAt decode_nmnist(Array1<const std::uint8_t> raw, Array1<const Index> offsets, Index size, DecodedEvents& out);

struct Deskewing {
  Index side;                 // pixels along each side of the sensor; channel = polarity * side^2 + y * side + x
  Array2<const double> path;  // (2, n_steps) position of the image at each step, x and y
  double centre;              // target of the mean of the events, on both axes, relative to the path
  double steepest;            // largest slope dx / dy that is removed
};

// How recordings of sound may differ: each sample draws its own change.
struct Variety {
  Index places;    // channel = type * places + place
  double shift;    // largest change of the place, up or down
  double stretch;  // largest factor of time minus one; time may also shrink so much
  double delay;    // longest delay, steps
  double drop;     // fraction of events that are lost
};

// Moves the events of each sample in place and time, and drops some. Sample i depends on seed and numbers[i]. Events that leave
// the places or the steps are lost.
Binned vary_events(const BinnedView& data, Index n_channels, const Variety& variety, std::uint64_t seed,
                   Array1<const Index> numbers, int threads);

// Shears and moves the events of each sample, so that its digit is upright and centred.
Binned deskew_events(const BinnedView& data, const Deskewing& deskewing);

}  // namespace eprop
