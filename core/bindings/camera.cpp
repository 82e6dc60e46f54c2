// The event camera for Python.
//
//   record_digits(settings, images, indices, seed, most, threads) -> (times, channels, offsets), or None if a digit has more than
//                                                                    `most` events
//   distort_digit(settings, images, indices, seed, i) -> (image, nodes): image as the recording of images[i] sees it, flat arrays
//   camera_constants: dict of field, side, phases, taps, levels, max_delays
#include "data/camera.hpp"

#include <stdexcept>
#include <utility>

#include <nanobind/stl/optional.h>

#include <optional>
#include <tuple>
#include <utility>

#include "bindings/convert.hpp"

namespace eprop {
namespace {

double number(nb::handle settings, const char* name) { return nb::cast<double>(settings.attr(name)); }

void check(bool well, const char* what) {
  if (!well) throw std::invalid_argument(what);
}

// Reads the attributes of a Python object, one for each field, by name.
CameraSettings read_settings(nb::handle settings) {
  CameraSettings c;
  c.path = attribute2<const double>(settings, "path");
  c.fine_us = number(settings, "fine_us");
  c.step_us = number(settings, "step_us");
  c.shortest_us = number(settings, "shortest_us");
  c.longest_us = number(settings, "longest_us");
  c.taps = attribute2<const float>(settings, "taps");
  c.log_table = attribute1<const float>(settings, "log_table");
  c.threshold_on = number(settings, "threshold_on");
  c.threshold_off = number(settings, "threshold_off");
  c.threshold_spread = number(settings, "threshold_spread");
  c.threshold_noise = number(settings, "threshold_noise");
  c.refractory_us = number(settings, "refractory_us");
  c.normals = attribute1<const float>(settings, "normals");
  c.jitter = number(settings, "jitter");
  c.warp = number(settings, "warp");
  c.elastic = number(settings, "elastic");
  c.contrast = number(settings, "contrast");
  c.elastic_spacing = nb::cast<Index>(settings.attr("elastic_spacing"));
  c.splines = attribute2<const double>(settings, "splines");
  c.background = number(settings, "background");
  c.background_on = number(settings, "background_on");
  c.delays = attribute2<const double>(settings, "delays");
  check(c.path.rows == 2 && c.path.columns >= 2, "path must have shape (2, n >= 2)");
  check(c.taps.rows == kPhases && c.taps.columns == kTaps, "taps must have shape (phases, taps)");
  check(c.log_table.size == kLevels + 1, "log_table must have an entry for each level, and one more");
  check(c.normals.size == kQuantiles, "normals must have 4096 entries");
  check(c.splines.rows == kSide && c.splines.columns == 4, "splines must have shape (side, 4)");
  check(c.elastic_spacing >= 1, "elastic_spacing must be at least 1");
  check(c.delays.rows <= kMaxDelays && c.delays.columns == 2, "delays must have shape (n, 2), n <= max_delays");
  return c;
}

// Times (us), channels, and offsets of the digits.
using Recorded = std::tuple<Result<std::int32_t>, Result<std::int32_t>, Result<Index>>;

std::optional<Recorded> record(nb::handle settings, const In3<std::uint8_t>& images, const In1<Index>& indices,
                               std::uint64_t seed, Index most, int threads) {
  const CameraSettings camera = read_settings(settings);
  check(images.shape(1) == kSide && images.shape(2) == kSide, "images must have shape (n, side, side)");
  check(indices.shape(0) == images.shape(0), "as many indices as images");
  CameraEvents made;
  if (!unlocked([&] { return record_digits({view3(images), view1(indices), seed}, camera, most, threads, made); }))
    return std::nullopt;
  return Recorded{handed_over(std::move(made.times)), handed_over(std::move(made.channels)),
                  handed_over(std::move(made.offsets))};
}

auto distort(nb::handle settings, const In3<std::uint8_t>& images, const In1<Index>& indices, std::uint64_t seed, Index i) {
  const CameraSettings camera = read_settings(settings);
  check(images.shape(1) == kSide && images.shape(2) == kSide, "images must have shape (n, side, side)");
  check(0 <= i && i < static_cast<Index>(images.shape(0)) && indices.shape(0) == images.shape(0), "i must be one of the images");
  DistortedDigit made = distort_digit({view3(images), view1(indices), seed}, i, camera);
  return std::pair(handed_over(std::move(made.image)), handed_over(std::move(made.nodes)));
}

}  // namespace

void bind_camera(nb::module_& m) {
  nb::dict constants;
  constants["field"] = kField;
  constants["side"] = kSide;
  constants["phases"] = kPhases;
  constants["taps"] = kTaps;
  constants["levels"] = kLevels;
  constants["max_delays"] = kMaxDelays;
  m.attr("camera_constants") = constants;
  m.def("distort_digit", &distort, "settings"_a, "images"_a.noconvert(), "indices"_a.noconvert(), "seed"_a, "i"_a);
  m.def("record_digits", &record, "settings"_a, "images"_a.noconvert(), "indices"_a.noconvert(), "seed"_a, "most"_a, "threads"_a);
}

}  // namespace eprop
