// Recorded events: files and tables parsed, events binned to channels per step, binned recordings checked and deskewed.
#pragma once
#include <cstdint>
#include <vector>

#include "arrays.hpp"

namespace eprop {

// Samples as active channels per step: step s of sample i has the channels ptr(i, s) .. ptr(i, s + 1) - 1.
struct BinnedView {
  Array2<const Index> ptr;
  Array1<const std::int32_t> channels;
};

// Samples that the core has made, with as many offsets in a row as there are steps, plus one.
struct Binned {
  std::vector<std::int32_t> channels;
  std::vector<Index> ptr;
};

// Events of samples one after another: sample i has offsets[i] .. offsets[i + 1] - 1.
struct EventsView {
  Array1<const std::int32_t> times;     // microseconds, >= 0, in any order
  Array1<const std::int32_t> channels;  // 0 .. n_channels - 1; the caller has checked
  Array1<const Index> offsets;
};

struct Bins {
  Index n_channels, n_steps;
  double step_us;
};

// Bin samples, each channel at most once a step; events at or after n_steps * step_us are left out.
Binned bin_events(const EventsView& events, const Bins& bins, int threads);

// Add to counts[c] how often channel c is active.
void count_channels(const BinnedView& data, Array1<Index> counts);

// Copy the samples one after another, renumbering channels and leaving out those numbered -1; the other numbers rise.
Binned renumber_channels(const BinnedView& data, Array1<const std::int32_t> number);

// What breaks the promises of a binned data set, in which sample (-1: none).
enum class BinnedFault : int { kNone = 0, kOffsets = 1, kRange = 2, kOrder = 3 };
struct BinnedFaultAt {
  Index sample;
  BinnedFault kind;
};
BinnedFaultAt find_fault(const BinnedView& data, Index n_channels);

// Read whole numbers 0 .. 255 separated by commas or line ends: ten times as fast as NumPy's reader of any number.
// Returns how many there were; -1 for any other character, a larger number, an empty field, or more numbers than fit.
Index parse_bytes(Array1<const std::uint8_t> text, Array1<std::uint8_t> out);

// What is wrong with an event of a file, and where (file, byte of its event in the file).
enum class EventFault : int { kNone = 0, kPosition = 1, kTime = 2 };
struct EventFaultAt {
  Index file, byte;
  EventFault kind;
};

struct DecodedEvents {
  std::vector<std::int32_t> times, channels;
  std::vector<Index> offsets;
};

// Decode the five-byte events of N-MNIST, files one after another (file i: bytes offsets[i] .. offsets[i + 1] - 1, a multiple
// of 5), and check each. Big-endian: x (8 bits), y (8), polarity (1), time in microseconds (23).
EventFaultAt decode_nmnist(Array1<const std::uint8_t> raw, Array1<const Index> offsets, Index size, DecodedEvents& out);

struct Deskewing {
  Index side;                 // pixels along each side of the sensor; channel = polarity * side^2 + y * side + x
  Array2<const double> path;  // (2, n_steps): where the camera's movement has the image at each step, x and y
  double centre;              // where the mean of the events goes, on both axes, relative to the path
  double steepest;            // largest slope dx / dy that is taken off
};

// Shear and move the events of each sample, so that its digit stands upright in the middle.
Binned deskew_events(const BinnedView& data, const Deskewing& deskewing);

}  // namespace eprop
