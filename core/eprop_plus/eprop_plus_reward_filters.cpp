#include "eprop_plus/delay_group.hpp"
#include "eprop_plus/kinds.hpp"

namespace eprop {
EPROP_PLUS_KIND(1, 0, true, true)
EPROP_PLUS_KIND(2, 0, true, true)
}  // namespace eprop
