#include "synapses/delay_group.hpp"
#include "synapses/kinds.hpp"

namespace eprop {

template <class Real> PlusFunctions<Real> functions_of_crossing(const Kind& kind, bool moments) {
  if (kind.n_filters == 0) return functions_of_kind<0, 1, false, Real>(kind.two_kappas, moments);
  return kind.n_filters == 1 ? functions_of_kind<1, 1, false, Real>(kind.two_kappas, moments)
                             : functions_of_kind<2, 1, false, Real>(kind.two_kappas, moments);
}
template PlusFunctions<float> functions_of_crossing(const Kind&, bool);
template PlusFunctions<double> functions_of_crossing(const Kind&, bool);

}  // namespace eprop
