// Recorded events for Python. All functions release the GIL.
//
//   bin_events(times, channels, offsets, n_channels, n_steps, step_us, threads) -> (channels int32, ptr int64)
//   count_channels(ptr, channels, counts)                                       adds to counts int64
//   renumber_channels(ptr, channels, number)                                    -> (channels, ptr)
//   find_fault(ptr, channels, n_channels)                                       -> (sample, kind); (-1, 0) without a fault
//   parse_bytes(text, out) -> int                                               count of numbers read, -1 for a fault
//   decode_nmnist(raw, offsets, size)          -> ((times, channels, offsets), (file, byte, kind)), (-1, 0, 0) without a fault
//   deskew_events(ptr, channels, side, path, centre, steepest)                  -> (channels, ptr)
//   vary_events(ptr, channels, n_channels, places, (shift, stretch, delay, drop), seed, numbers, threads) -> (channels, ptr)
//   data_version
#include "data/events.hpp"

#include <nanobind/stl/pair.h>
#include <nanobind/stl/tuple.h>

#include <stdexcept>
#include <tuple>
#include <utility>

#include "bindings/convert.hpp"

namespace eprop {
namespace {

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

}  // namespace

void bind_events(nb::module_& m) {
  m.attr("data_version") = kDataVersion;
  m.def("bin_events", &bin, "times"_a.noconvert(), "channels"_a.noconvert(), "offsets"_a.noconvert(), "n_channels"_a, "n_steps"_a,
        "step_us"_a, "threads"_a);
  m.def(
      "count_channels",
      [](const Ptr& ptr, const Channels& channels, const Out1<Index>& counts) {
        count_channels({view2(ptr), view1(channels)}, view1(counts));
      },
      "ptr"_a.noconvert(), "channels"_a.noconvert(), "counts"_a.noconvert(), Unlocked());
  m.def("renumber_channels", &renumber, "ptr"_a.noconvert(), "channels"_a.noconvert(), "number"_a.noconvert());
  m.def(
      "find_fault",
      [](const Ptr& ptr, const Channels& channels, Index n_channels) {
        const BinnedFaultAt fault = find_fault({view2(ptr), view1(channels)}, n_channels);
        return std::pair(fault.sample, static_cast<int>(fault.kind));
      },
      "ptr"_a.noconvert(), "channels"_a.noconvert(), "n_channels"_a, Unlocked());
  m.def(
      "parse_bytes",
      [](const In1<std::uint8_t>& text, const Out1<std::uint8_t>& out) { return parse_bytes(view1(text), view1(out)); },
      "text"_a.noconvert(), "out"_a.noconvert(), Unlocked());
  m.def("decode_nmnist", &decode, "raw"_a.noconvert(), "offsets"_a.noconvert(), "size"_a);
  m.def("deskew_events", &deskew, "ptr"_a.noconvert(), "channels"_a.noconvert(), "side"_a, "path"_a.noconvert(), "centre"_a,
        "steepest"_a);
  m.def("vary_events", &vary, "ptr"_a.noconvert(), "channels"_a.noconvert(), "n_channels"_a, "places"_a, "most"_a, "seed"_a,
        "numbers"_a.noconvert(), "threads"_a);
}

}  // namespace eprop
