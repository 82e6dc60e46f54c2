// Inputs of runs and samples for Python: `find_ones`, `bin_spikes`, `copy_events`, `all_finite`.
#include "data/inputs.hpp"

#include <nanobind/stl/optional.h>

#include <optional>

#include "bindings/convert.hpp"
#include "support/finite.hpp"

namespace eprop {
namespace {

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

}  // namespace

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

}  // namespace eprop
