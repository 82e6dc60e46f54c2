#include "synapses/delay_group.hpp"
#include "synapses/kinds.hpp"

namespace eprop {

template <class Real> PlusFunctions<Real> functions_with_own_2(const Kind& kind, bool moments) {
  return functions_of_kind<2, 1, true, Real>(kind.two_kappas, moments);
}
template PlusFunctions<float> functions_with_own_2(const Kind&, bool);
template PlusFunctions<double> functions_with_own_2(const Kind&, bool);

}  // namespace eprop
