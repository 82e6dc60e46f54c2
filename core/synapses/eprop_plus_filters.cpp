#include "synapses/delay_group.hpp"
#include "synapses/kinds.hpp"

namespace eprop {

template <class Real> PlusFunctions<Real> functions_without_own(const Kind& kind, bool moments) {
  return kind.n_filters == 1 ? functions_of_kind<1, 0, true, Real>(kind.two_kappas, moments)
                             : functions_of_kind<2, 0, true, Real>(kind.two_kappas, moments);
}
template PlusFunctions<float> functions_without_own(const Kind&, bool);
template PlusFunctions<double> functions_without_own(const Kind&, bool);

}  // namespace eprop
