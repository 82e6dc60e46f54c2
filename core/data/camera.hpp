// The event camera: from images and a path to events. The events of a digit depend only on its image, the seed and its index.
#pragma once
#include <cstdint>
#include <vector>

#include "support/arrays.hpp"

namespace eprop {

// Pixels along each side of the field, and of the image in it.
constexpr Index kField = 34, kSide = 28;
// Positions per pixel (and axis) at which the blurred image is computed exactly; linear in between.
constexpr Index kPhases = 4;
// Weights of the blur at each phase.
constexpr Index kTaps = 8;
// Levels of light in the table of logarithms.
constexpr Index kLevels = 4096;
// Largest number of delays of a path.
constexpr Index kMaxDelays = 12;
// Quantiles of the standard normal in the table.
constexpr Index kQuantiles = 4096;

// Parameters of the camera, documented in Python's EventCamera. Standard deviations are relative, or in pixels.
struct CameraSettings {
  Array2<const double> path;  // (2, n_points) x and y of the image's upper left corner in the field, every fine_us
  double fine_us, step_us, shortest_us, longest_us;
  Array2<const float> taps;       // (kPhases, kTaps) weights of the blur at each phase
  Array1<const float> log_table;  // (kLevels + 1) logarithm of light by ink
  double threshold_on, threshold_off, threshold_spread, threshold_noise, refractory_us;
  Array1<const float> normals;  // (kQuantiles) of the standard normal
  double jitter, warp, elastic, contrast;
  Index elastic_spacing;             // pixels between nodes of the elastic distortion
  Array2<const double> splines;      // (kSide, 4) weights of the four nodes around each pixel of an axis
  double background, background_on;  // background events per step, and the fraction of ON events among them
  Array2<const double> delays;       // (n, 2) time and largest delay from there, us
};

// Digits to record: images (n, kSide, kSide), the index of each (below 2^32), and the seed.
struct Digits {
  Array3<const std::uint8_t> images;
  Array1<const Index> indices;
  std::uint64_t seed;
};

// Events of consecutive recordings; recording i starts at offsets[i]. They are in order of steps, but not of time within a step.
struct CameraEvents {
  std::vector<std::int32_t> times, channels;
  std::vector<Index> offsets;
};

// Records digits in parallel. Returns false if a digit has more than `most` events.
bool record_digits(const Digits& digits, const CameraSettings& settings, Index most, int threads, CameraEvents& out);

// The image of digit `i` as its recording sees it: after the random linear map and the elastic distortion.
struct DistortedDigit {
  std::vector<std::uint8_t> image;  // (kSide, kSide)
  std::vector<double> nodes;        // (2, n, n) displacements of the nodes in x and y, pixels
};
DistortedDigit distort_digit(const Digits& digits, Index i, const CameraSettings& settings);

}  // namespace eprop
