#include "synapses/delay_group.hpp"
#include "synapses/kinds.hpp"

namespace eprop {

template <class Real> PlusFunctions<Real> functions_with_own(const Kind& kind, bool moments) {
  return kind.n_filters == 0 ? functions_of_kind<0, 1, true, Real>(kind.two_kappas, moments)
                             : functions_of_kind<1, 1, true, Real>(kind.two_kappas, moments);
}
template PlusFunctions<float> functions_with_own(const Kind&, bool);
template PlusFunctions<double> functions_with_own(const Kind&, bool);

}  // namespace eprop
