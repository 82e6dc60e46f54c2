#include "synapses/delay_group.hpp"
#include "synapses/kinds.hpp"

namespace eprop {
namespace {

template <int n_filters, class Real> PlusFunctions<Real> of_filters(const Kind& kind, bool moments) {
  return kind.n_own == 1 ? functions_of_kind<n_filters, 1, false, Real>(kind.two_kappas, moments)
                         : functions_of_kind<n_filters, 2, false, Real>(kind.two_kappas, moments);
}

}  // namespace

template <class Real> PlusFunctions<Real> functions_of_crossing(const Kind& kind, bool moments) {
  if (kind.n_filters == 0) return of_filters<0, Real>(kind, moments);
  return kind.n_filters == 1 ? of_filters<1, Real>(kind, moments) : of_filters<2, Real>(kind, moments);
}
template PlusFunctions<float> functions_of_crossing(const Kind&, bool);
template PlusFunctions<double> functions_of_crossing(const Kind&, bool);

}  // namespace eprop
