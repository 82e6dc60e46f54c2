// Data sets and inputs for Python: recorded events, the event camera, the cochlea; inputs of runs and samples.
//
//   bin_events(times, channels, offsets, n_channels, n_steps, step_us, threads) -> (channels int32, ptr int64)
//   renumber_channels(ptr, channels, number)                                    -> (channels, ptr)
//   find_fault(ptr, channels, n_channels)                                       -> (sample, kind); (-1, 0) without a fault
//   decode_nmnist(raw, offsets, size)          -> ((times, channels, offsets), (file, byte, kind)), (-1, 0, 0) without a fault
//   deskew_events(ptr, channels, side, path, centre, steepest)                  -> (channels, ptr)
//   vary_events(ptr, channels, n_channels, places, (shift, stretch, delay, drop), seed, numbers, threads) -> (channels, ptr)
//   data_version
//   record_digits(settings, images, indices, seed, most, threads) -> (times, channels, offsets), or None if a digit has more than
//                                                                    `most` events
//   distort_digit(settings, images, indices, seed, i) -> (image, nodes): image as the recording of images[i] sees it, flat arrays
//   camera_constants: dict of field, side, phases, taps, levels, max_delays
//   Cochlea(settings, filters, seed)                                             one ear: .hear(samples, gain), .steps
//   hear_sounds(settings, samples, offsets, filters, gains, seeds, threads) -> (steps, channels, offsets) of all spikes
//   cochlea_constants: dict of max_fibres, max_refractory
#include <nanobind/stl/optional.h>
#include <nanobind/stl/vector.h>

#include <optional>
#include <stdexcept>
#include <tuple>
#include <utility>

#include "bindings/convert.hpp"
#include "data/camera.hpp"
#include "data/cochlea.hpp"
#include "data/events.hpp"
#include "data/inputs.hpp"
#include "support/finite.hpp"

namespace eprop {
namespace {

void check(bool well, const char* what) {
  if (!well) throw std::invalid_argument(what);
}

// ----------------------------------------------------------------------------------------------------------- recorded events

using Unlocked = nb::call_guard<nb::gil_scoped_release>;
using Made = std::pair<Result<std::int32_t>, Result<Index, 2>>;
using Ptr = In2<Index>;
using Channels = In1<std::int32_t>;

// Increase this number whenever the core makes different data sets from the same input: events of the camera, binning,
// deskewing, parsing, or their random numbers. It is part of the key of cached data sets, which are then made again.
constexpr int kDataVersion = 1;

// Samples that `make` makes without the GIL, with `columns` offsets each.
template <class Make> Made binned(std::size_t columns, const Make& make) {
  Binned made = unlocked(make);
  const std::size_t rows = made.ptr.size() / columns;
  return {handed_over(std::move(made.channels)), handed_over<2>(std::move(made.ptr), {rows, columns})};
}

Made bin(const In1<std::int32_t>& times, const Channels& channels, const In1<Index>& offsets, Index n_channels, Index n_steps,
         double step_us, int threads) {
  if (offsets.shape(0) < 1) throw std::invalid_argument("offsets must have at least one entry");
  return binned(n_steps + 1, [&] {
    return bin_events({view1(times), view1(channels), view1(offsets)}, {n_channels, n_steps, step_us}, threads);
  });
}

Made renumber(const Ptr& ptr, const Channels& channels, const In1<std::int32_t>& number) {
  return binned(ptr.shape(1), [&] { return renumber_channels({view2(ptr), view1(channels)}, view1(number)); });
}

Made deskew(const Ptr& ptr, const Channels& channels, Index side, const In2<double>& path, double centre, double steepest) {
  if (path.shape(0) != 2 || path.shape(1) + 1 < ptr.shape(1)) throw std::invalid_argument("path must have a place for each step");
  return binned(ptr.shape(1),
                [&] { return deskew_events({view2(ptr), view1(channels)}, {side, view2(path), centre, steepest}); });
}

Made vary(const Ptr& ptr, const Channels& channels, Index n_channels, Index places,
          std::tuple<double, double, double, double> most, std::uint64_t seed, const In1<Index>& numbers, int threads) {
  if (places < 1 || n_channels % places != 0) throw std::invalid_argument("n_channels must be a multiple of places");
  if (numbers.shape(0) != ptr.shape(0)) throw std::invalid_argument("as many numbers as samples");
  const auto [shift, stretch, delay, drop] = most;
  return binned(ptr.shape(1), [&] {
    return vary_events({view2(ptr), view1(channels)}, n_channels, {places, shift, stretch, delay, drop}, seed, view1(numbers),
                       threads);
  });
}

auto decode(const In1<std::uint8_t>& raw, const In1<Index>& offsets, Index size) {
  DecodedEvents decoded;
  const EventFaultAt fault = unlocked([&] { return decode_nmnist(view1(raw), view1(offsets), size, decoded); });
  return std::pair(std::tuple(handed_over(std::move(decoded.times)), handed_over(std::move(decoded.channels)),
                              handed_over(std::move(decoded.offsets))),
                   std::tuple(fault.file, fault.byte, static_cast<int>(fault.kind)));
}

void bind_events(nb::module_& m) {
  m.attr("data_version") = kDataVersion;
  m.def("bin_events", &bin, "times"_a.noconvert(), "channels"_a.noconvert(), "offsets"_a.noconvert(), "n_channels"_a, "n_steps"_a,
        "step_us"_a, "threads"_a);
  m.def("renumber_channels", &renumber, "ptr"_a.noconvert(), "channels"_a.noconvert(), "number"_a.noconvert());
  m.def(
      "find_fault",
      [](const Ptr& ptr, const Channels& channels, Index n_channels) {
        const BinnedFaultAt fault = find_fault({view2(ptr), view1(channels)}, n_channels);
        return std::pair(fault.sample, static_cast<int>(fault.kind));
      },
      "ptr"_a.noconvert(), "channels"_a.noconvert(), "n_channels"_a, Unlocked());
  m.def("decode_nmnist", &decode, "raw"_a.noconvert(), "offsets"_a.noconvert(), "size"_a);
  m.def("deskew_events", &deskew, "ptr"_a.noconvert(), "channels"_a.noconvert(), "side"_a, "path"_a.noconvert(), "centre"_a,
        "steepest"_a);
  m.def("vary_events", &vary, "ptr"_a.noconvert(), "channels"_a.noconvert(), "n_channels"_a, "places"_a, "most"_a, "seed"_a,
        "numbers"_a.noconvert(), "threads"_a);
}

// ---------------------------------------------------------------------------------------------------------- the event camera

double number(nb::handle settings, const char* name) { return nb::cast<double>(settings.attr(name)); }

// Reads the attributes of a Python object, one for each field, by name.
CameraSettings read_camera(nb::handle settings) {
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
  const CameraSettings camera = read_camera(settings);
  check(images.shape(1) == kSide && images.shape(2) == kSide, "images must have shape (n, side, side)");
  check(indices.shape(0) == images.shape(0), "as many indices as images");
  CameraEvents made;
  if (!unlocked([&] { return record_digits({view3(images), view1(indices), seed}, camera, most, threads, made); }))
    return std::nullopt;
  return Recorded{handed_over(std::move(made.times)), handed_over(std::move(made.channels)),
                  handed_over(std::move(made.offsets))};
}

auto distort(nb::handle settings, const In3<std::uint8_t>& images, const In1<Index>& indices, std::uint64_t seed, Index i) {
  const CameraSettings camera = read_camera(settings);
  check(images.shape(1) == kSide && images.shape(2) == kSide, "images must have shape (n, side, side)");
  check(0 <= i && i < static_cast<Index>(images.shape(0)) && indices.shape(0) == images.shape(0), "i must be one of the images");
  DistortedDigit made = distort_digit({view3(images), view1(indices), seed}, i, camera);
  return std::pair(handed_over(std::move(made.image)), handed_over(std::move(made.nodes)));
}

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

// --------------------------------------------------------------------------------------------------------------- the cochlea

// Reads the attributes of a Python object, one for each field, by name.
CochleaSettings read_cochlea(nb::handle settings) {
  CochleaSettings c;
  for (const auto& [name, field] : std::initializer_list<std::pair<const char*, Index*>>{{"places", &c.places},
                                                                                         {"n_fibres", &c.n_fibres},
                                                                                         {"refractory", &c.refractory},
                                                                                         {"up", &c.up},
                                                                                         {"down", &c.down},
                                                                                         {"n_taps", &c.n_taps}})
    *field = nb::cast<Index>(settings.attr(name));
  for (const auto& [name, field] : std::initializer_list<std::pair<const char*, double*>>{{"middle_ear", &c.middle_ear},
                                                                                          {"a", &c.a},
                                                                                          {"b", &c.b},
                                                                                          {"release", &c.release},
                                                                                          {"replenish", &c.replenish},
                                                                                          {"loss", &c.loss},
                                                                                          {"reuptake", &c.reuptake},
                                                                                          {"reprocess", &c.reprocess},
                                                                                          {"firing", &c.firing},
                                                                                          {"free", &c.free},
                                                                                          {"cleft", &c.cleft},
                                                                                          {"reprocessing", &c.reprocessing},
                                                                                          {"keep_current", &c.keep_current},
                                                                                          {"keep_voltage", &c.keep_voltage},
                                                                                          {"gain", &c.gain}})
    *field = nb::cast<double>(settings.attr(name));
  c.taps = nb::cast<std::vector<double>>(settings.attr("taps"));
  c.sensitivities = nb::cast<std::vector<double>>(settings.attr("sensitivities"));
  check(c.places >= 1 && !c.sensitivities.empty(), "at least one place and one type");
  check(c.places * static_cast<Index>(c.sensitivities.size()) <= 1 << 16, "at most 65536 channels");
  check(1 <= c.n_fibres && c.n_fibres <= kMaxFibres, "n_fibres must be within 1 .. max_fibres");
  check(1 <= c.refractory && c.refractory <= kMaxRefractory, "refractory must be within 1 .. max_refractory");
  check(c.up >= 1 && c.down >= 1 && c.n_taps >= 1, "up, down and n_taps must be at least 1");
  check(static_cast<Index>(c.taps.size()) == c.up * c.n_taps, "taps must have up n_taps entries");
  return c;
}

using Spikes = std::pair<Result<std::int64_t>, Result<std::int32_t>>;

void make_cochlea(Cochlea* cochlea, nb::handle settings, const In2<double>& filters, std::uint64_t seed) {
  const CochleaSettings read = read_cochlea(settings);
  check(filters.shape(0) == 3 && static_cast<Index>(filters.shape(1)) == read.places, "filters must have shape (3, places)");
  new (cochlea) Cochlea(read, view2(filters), seed);
}

Spikes hear(Cochlea& cochlea, const In1<double>& samples, double gain) {
  CochleaSpikes made;
  cochlea.hear(view1(samples), gain, made);
  return {handed_over(std::move(made.steps)), handed_over(std::move(made.channels))};
}

auto hear_all(nb::handle settings, const In1<double>& samples, const In1<Index>& offsets, const In3<double>& filters,
              const In1<double>& gains, const In1<std::uint64_t>& seeds, int threads) {
  const CochleaSettings read = read_cochlea(settings);
  const std::size_t n = gains.shape(0);
  check(offsets.shape(0) == n + 1 && seeds.shape(0) == n && filters.shape(0) == n, "as many offsets, seeds and filters as gains");
  check(filters.shape(1) == 3 && static_cast<Index>(filters.shape(2)) == read.places, "filters must have shape (n, 3, places)");
  check(offsets.data()[0] >= 0 && offsets.data()[n] <= static_cast<Index>(samples.shape(0)), "offsets beyond the samples");
  for (std::size_t i = 0; i < n; i++) check(offsets.data()[i] <= offsets.data()[i + 1], "offsets must not decrease");
  CochleaSpikes joined;
  std::vector<Index> starts{0};
  unlocked([&] {
    const Sounds sounds{view1(samples), view1(offsets), view3(filters), view1(gains), view1(seeds)};
    for (const CochleaSpikes& made : hear_sounds(sounds, read, threads)) {
      joined.steps.insert(joined.steps.end(), made.steps.begin(), made.steps.end());
      joined.channels.insert(joined.channels.end(), made.channels.begin(), made.channels.end());
      starts.push_back(static_cast<Index>(joined.steps.size()));
    }
    return 0;
  });
  return std::tuple(handed_over(std::move(joined.steps)), handed_over(std::move(joined.channels)),
                    handed_over(std::move(starts)));
}

void bind_cochlea(nb::module_& m) {
  nb::dict constants;
  constants["max_fibres"] = kMaxFibres;
  constants["max_refractory"] = kMaxRefractory;
  m.attr("cochlea_constants") = constants;
  nb::class_<Cochlea>(m, "Cochlea", "One ear that hears one sound.")
      .def("__init__", &make_cochlea, "settings"_a, "filters"_a.noconvert(), "seed"_a)
      .def("hear", &hear, "samples"_a.noconvert(), "gain"_a,
           "Hear further samples; return steps and channels of the spikes.\n\nC++: `Cochlea::hear` in core/data/cochlea.hpp.")
      .def_prop_ro("steps", &Cochlea::steps, "Steps that were heard.");
  m.def("hear_sounds", &hear_all, "settings"_a, "samples"_a.noconvert(), "offsets"_a.noconvert(), "filters"_a.noconvert(),
        "gains"_a.noconvert(), "seeds"_a.noconvert(), "threads"_a);
}

// ------------------------------------------------------------------------- inputs of runs and samples

template <class T> void bind_find_ones(nb::module_& m) {
  m.def(
      "find_ones",
      [](In2<T> dense, Out1<Index> start) -> std::optional<Result<std::int32_t>> {
        if (start.shape(0) != dense.shape(0) + 1) throw nb::value_error("find_ones: one start for each row, and one more");
        std::vector<std::int32_t> channels;
        if (!find_ones(view2(dense), start.data(), channels)) return std::nullopt;
        return handed_over(std::move(channels));
      },
      "dense"_a.noconvert(), "start"_a.noconvert(), "Columns of the ones, row by row; None if there are other numbers.");
}

template <class T> void bind_copy_events(nb::module_& m) {
  m.def(
      "copy_events",
      [](In2<Index> ptr, In1<T> channels, Index size, Out1<Index> start) -> std::optional<Result<std::int32_t>> {
        if (ptr.shape(1) == 0 || start.shape(0) != ptr.shape(0) * (ptr.shape(1) - 1) + 1)
          throw nb::value_error("copy_events: arrays do not fit");
        std::vector<std::int32_t> copied;
        if (!unlocked([&] { return copy_events(view2(ptr), view1(channels), size, view1(start), copied); })) return std::nullopt;
        return handed_over(std::move(copied));
      },
      "ptr"_a.noconvert(), "channels"_a.noconvert(), "size"_a, "start"_a.noconvert(),
      "Channels of samples, ascending within a step; None if offsets or channels are not valid.");
}

void bind_inputs(nb::module_& m) {
  bind_find_ones<double>(m);
  bind_find_ones<bool>(m);
  bind_find_ones<float>(m);
  bind_find_ones<std::int64_t>(m);
  bind_find_ones<std::uint8_t>(m);
  m.def(
      "bin_spikes",
      [](In1<double> times, In1<Index> channels, Index size, double dt, double precision,
         Out1<Index> start) -> std::optional<Result<std::int32_t>> {
        if (times.shape(0) != channels.shape(0) || start.shape(0) == 0) throw nb::value_error("bin_spikes: arrays do not fit");
        std::vector<std::int32_t> binned;
        if (!bin_spikes({view1(times), view1(channels), size}, dt, precision, view1(start), binned)) return std::nullopt;
        return handed_over(std::move(binned));
      },
      "times"_a.noconvert(), "channels"_a.noconvert(), "size"_a, "dt"_a, "precision"_a, "start"_a.noconvert(),
      "Channels of spikes step by step; None if a time or channel is out of range.");
  bind_copy_events<std::int32_t>(m);
  bind_copy_events<Index>(m);
  m.def(
      "all_finite",
      [](nb::ndarray<const double, nb::c_contig, nb::device::cpu> a) {
        return all_finite(a.data(), static_cast<Index>(a.size()));
      },
      "numbers"_a.noconvert(), "Whether all numbers are finite.");
}

}  // namespace

void bind_data(nb::module_& m) {
  bind_events(m);
  bind_camera(m);
  bind_cochlea(m);
  bind_inputs(m);
}

}  // namespace eprop
