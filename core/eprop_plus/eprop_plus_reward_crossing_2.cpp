#include "eprop_plus/delay_group.hpp"
#include "eprop_plus/kinds.hpp"

namespace eprop {
EPROP_PLUS_KIND(0, 2, false, true)
EPROP_PLUS_KIND(1, 2, false, true)
EPROP_PLUS_KIND(2, 2, false, true)
}  // namespace eprop
