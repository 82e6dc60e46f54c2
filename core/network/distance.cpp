#include "network/distance.hpp"

#include <algorithm>
#include <array>
#include <cmath>

#include "support/rng.hpp"

namespace eprop {
namespace {

constexpr int kMost = 3;  // dimensions
using Point = std::array<double, kMost>;
using Cell = std::array<Index, kMost>;

// Sources per cell on average, and cells per width: fewer sources make many empty cells, wide cells reject many candidates.
constexpr double kPerCell = 8.0, kCellsPerWidth = 2.0;
// Uniform draws are multiples of 2^-53, so a smaller probability never connects.
constexpr double kLeast = kToUnit;

double probability(const DistanceProfile& profile, double distance) {
  if (distance > profile.farthest) return 0.0;
  const double x = distance / profile.width;
  if (profile.shape == Profile::gaussian) return profile.most * std::exp(-0.5 * x * x);
  if (profile.shape == Profile::exponential) return profile.most * std::exp(-x);
  return x <= 1.0 ? profile.most : 0.0;
}

// Largest distance with a connection.
double reach_of(const DistanceProfile& profile) {
  const double folds = std::max(0.0, std::log(profile.most / kLeast));
  const double reach = profile.shape == Profile::gaussian      ? std::sqrt(2.0 * folds)
                       : profile.shape == Profile::exponential ? folds
                                                               : 1.0;
  return std::min(reach * profile.width, profile.farthest);
}

// Sources sorted into cells of a grid.
class Grid {
 public:
  Grid(const NodePositions& positions, const DistanceProfile& profile)
      : positions_(positions), dims_(static_cast<int>(positions.sources.columns)), periodic_(positions.extent.size > 0) {
    find_box();
    choose_cells(profile.width / kCellsPerWidth);
    sort_sources();
  }

  int dims() const { return dims_; }
  Index cells(int d) const { return cells_[d]; }
  double edge(int d) const { return edge_[d]; }
  bool periodic() const { return periodic_; }

  Cell cell_of(const double* point) const {
    Cell cell{};
    for (int d = 0; d < dims_; d++) {
      cell[d] = static_cast<Index>(std::floor((point[d] - origin_[d]) / edge_[d]));
      if (periodic_) cell[d] = ((cell[d] % cells_[d]) + cells_[d]) % cells_[d];
    }
    return cell;
  }
  // Sources of a cell inside the grid, ascending.
  std::pair<const std::int32_t*, Index> sources(const Cell& cell) const {
    const Index at = number(cell);
    return {order_.data() + start_[at], start_[at + 1] - start_[at]};
  }

  double distance(const double* target, Index source) const {
    double sum = 0.0;
    for (int d = 0; d < dims_; d++) {
      double apart = std::fabs(target[d] - positions_.sources(source, d));
      if (periodic_) {
        apart = std::fmod(apart, positions_.extent[d]);
        apart = std::min(apart, positions_.extent[d] - apart);
      }
      sum += apart * apart;
    }
    return std::sqrt(sum);
  }

 private:
  void find_box() {
    const Array2<const double>& at = positions_.sources;
    for (int d = 0; d < dims_; d++) {
      double low = at(0, d), high = at(0, d);
      for (Index k = 1; k < at.rows; k++) {
        low = std::min(low, at(k, d));
        high = std::max(high, at(k, d));
      }
      origin_[d] = periodic_ ? 0.0 : low;
      size_[d] = periodic_ ? positions_.extent[d] : high - low;
    }
  }

  void choose_cells(double least) {
    double volume = 1.0;
    int spread = 0;
    for (int d = 0; d < dims_; d++)
      if (size_[d] > 0.0) {
        volume *= size_[d];
        spread++;
      }
    const double n = static_cast<double>(positions_.sources.rows);
    const double edge = std::max(least, spread > 0 ? std::pow(volume * kPerCell / n, 1.0 / spread) : 1.0);
    for (int d = 0; d < dims_; d++) {
      cells_[d] = std::max<Index>(1, static_cast<Index>(size_[d] / edge));
      edge_[d] = size_[d] > 0.0 ? size_[d] / static_cast<double>(cells_[d]) : 1.0;
    }
  }

  void sort_sources() {
    const Array2<const double>& at = positions_.sources;
    std::vector<Index> cell(at.rows);
    start_.assign(cells_[0] * cells_[1] * cells_[2] + 1, 0);
    for (Index k = 0; k < at.rows; k++) {
      Cell c = cell_of(at.row(k));
      for (int d = 0; d < dims_; d++) c[d] = std::clamp<Index>(c[d], 0, cells_[d] - 1);  // the upper side belongs to the last
      start_[(cell[k] = number(c)) + 1]++;
    }
    for (std::size_t c = 1; c < start_.size(); c++) start_[c] += start_[c - 1];
    order_.resize(at.rows);
    std::vector<Index> next(start_.begin(), start_.end() - 1);
    for (Index k = 0; k < at.rows; k++) order_[next[cell[k]]++] = static_cast<std::int32_t>(k);
  }

  Index number(const Cell& c) const { return (c[2] * cells_[1] + c[1]) * cells_[0] + c[0]; }

  const NodePositions& positions_;
  int dims_;
  bool periodic_;
  Point origin_{}, size_{}, edge_{1.0, 1.0, 1.0};
  Cell cells_{1, 1, 1};
  std::vector<Index> start_;
  std::vector<std::int32_t> order_;
};

// Cells that a target can reach, in one dimension, relative to its own cell.
struct Span {
  Index first, stop;
};

// The highest probability of a connection from the cells at an offset, and its hazard: -log of the probability of a miss.
struct Bound {
  double probability, hazard;
};

// The cells around a target.
class Neighbourhood {
 public:
  Neighbourhood(const Grid& grid, const DistanceProfile& profile) : grid_(grid) {
    const double reach = reach_of(profile);
    for (int d = 0; d < grid.dims(); d++) {
      const double cells = std::floor(reach / grid.edge(d) * (1.0 + 1e-9)) + 1.0;  // one too many on a tie, never too few
      rings_[d] = static_cast<Index>(std::min(cells, static_cast<double>(grid.cells(d))));
    }
    for (Index k = 0; k <= rings_[2]; k++)
      for (Index j = 0; j <= rings_[1]; j++)
        for (Index i = 0; i <= rings_[0]; i++) {
          const double most = probability(profile, nearest({i, j, k}));
          bounds_.push_back({most, most < 1.0 ? -std::log1p(-most) : INFINITY});
        }
  }

  // Calls visit(cell, bound) for the cells in reach.
  template <class Visit> void around(const Cell& home, Visit visit) const {
    const Span x = span(home, 0), y = span(home, 1), z = span(home, 2);
    for (Index k = z.first; k < z.stop; k++)
      for (Index j = y.first; j < y.stop; j++) {
        const Bound* row = &bounds_[(std::abs(k) * (rings_[1] + 1) + std::abs(j)) * (rings_[0] + 1)];
        for (Index i = x.first; i < x.stop; i++)
          if (row[std::abs(i)].probability >= kLeast) visit(at(home, {i, j, k}), row[std::abs(i)]);
      }
  }

 private:
  Span span(const Cell& home, int d) const {
    if (d >= grid_.dims()) return {0, 1};
    const Index n = grid_.cells(d), rings = rings_[d];
    if (!grid_.periodic()) return {std::max(-home[d], -rings), std::min(n - home[d], rings + 1)};
    return 2 * rings + 1 >= n ? Span{-(n / 2), n - n / 2} : Span{-rings, rings + 1};
  }
  // Smallest distance between points of the target's cell and of the cell at an offset.
  double nearest(const Cell& offset) const {
    double sum = 0.0;
    for (int d = 0; d < grid_.dims(); d++) {
      const double gap = static_cast<double>(std::max<Index>(offset[d] - 1, 0)) * grid_.edge(d);
      sum += gap * gap;
    }
    return std::sqrt(sum) * (1.0 - 1e-12);  // rounding must not lower the bound
  }
  Cell at(const Cell& home, const Cell& offset) const {
    Cell cell{};
    for (int d = 0; d < grid_.dims(); d++) {
      const Index n = grid_.cells(d), c = home[d] + offset[d];
      cell[d] = !grid_.periodic() ? c : c < 0 ? c + n : c >= n ? c - n : c;
    }
    return cell;
  }

  const Grid& grid_;
  Cell rings_{};
  std::vector<Bound> bounds_;  // by the size of an offset in each dimension
};

}  // namespace

Connections by_distance(Targets targets, const NodePositions& positions, const DistanceProfile& profile, bool autapses,
                        std::uint64_t seed) {
  Connections made{std::vector<Index>(targets.size() + 1), {}};
  if (positions.sources.rows == 0 || profile.most < kLeast) return made;
  const Grid grid(positions, profile);
  const Neighbourhood near(grid, profile);
  for (Index target = targets.first; target < targets.stop; target++) {
    const double* point = positions.targets.row(target);
    const auto begin = static_cast<std::ptrdiff_t>(made.sources.size());
    UniformStream draws(seed, kConnect, static_cast<std::uint32_t>(target));
    // Hazard until the next candidate: it runs on from cell to cell, so that cells without a candidate need no draw.
    double left = -std::log1p(-draws.next());
    near.around(grid.cell_of(point), [&](const Cell& cell, const Bound& bound) {
      const auto [sources, count] = grid.sources(cell);
      for (Index k = 0; k < count; k++) {
        const double rest = static_cast<double>(count - k) * bound.hazard;
        if (left >= rest) {
          left -= rest;
          break;
        }
        k += static_cast<Index>(left / bound.hazard);
        left = -std::log1p(-draws.next());
        if (k >= count) break;  // by rounding
        const Index source = sources[k];
        if (draws.next() * bound.probability < probability(profile, grid.distance(point, source)) &&
            (autapses || source != target))
          made.sources.push_back(static_cast<std::int32_t>(source));
      }
    });
    std::sort(made.sources.begin() + begin, made.sources.end());
    made.indptr[target - targets.first + 1] = static_cast<Index>(made.sources.size());
  }
  return made;
}

}  // namespace eprop
