// The cochlea for Python.
//
//   Cochlea(settings, filters, seed)                                             one ear: .hear(samples, gain), .steps
//   hear_sounds(settings, samples, offsets, filters, gains, seeds, threads) -> (steps, channels, offsets) of all spikes
//   cochlea_constants: dict of max_fibres, max_refractory
#include "data/cochlea.hpp"

#include <nanobind/stl/pair.h>
#include <nanobind/stl/tuple.h>
#include <nanobind/stl/vector.h>

#include <stdexcept>
#include <tuple>
#include <utility>

#include "bindings/convert.hpp"

namespace eprop {
namespace {

void check(bool well, const char* what) {
  if (!well) throw std::invalid_argument(what);
}

// Reads the attributes of a Python object, one for each field, by name.
CochleaSettings read_settings(nb::handle settings) {
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
  const CochleaSettings read = read_settings(settings);
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
  const CochleaSettings read = read_settings(settings);
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

}  // namespace

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

}  // namespace eprop
