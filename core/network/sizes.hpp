// The numbers on which the shapes of all arrays of a network depend. They are known before a connection is drawn.
#pragma once
#include "network/fields.hpp"
#include "network/kind.hpp"

namespace eprop {

// Of the part of a rank; Python gives them by name.
struct Sizes {
  Index neurons = 0, readouts = 0, sources = 0, synapses = 0;
  Index populations = 0, delay_groups = 0, trace_groups = 0;
  Index state_rows = 0, receptors = 0;
  Index constants = 0;    // numbers of all constants that learn
  Index products = 0;     // inner products for their gradients
  Index rewired = 0;      // projections, if the synapses of some of them move
  Index level_bytes = 0;  // of a level that is stored in place of a weight; 0: weights are stored
  // Whether there is, or some rule needs ...
  Index adaptive_feedback = 0, eprop_plus = 0, pairs = 0, two_kappas = 0, crosses = 0;
  Index gradients = 0, moment_1 = 0, moment_2 = 0, each_step = 0, descends_each_step = 0;
  // Of e-prop+: own components of synapses, entries of propagators and of spike corrections, filters and their slots.
  Index own = 0, entries = 0, corrections = 0, filters = 0, filter_slots = 0;
  // Steps.
  Index cutoff = 0, pair_cutoff = 0, reward_cutoff = 0, longest_delay = 0, block_steps = 1, span_blocks = 0;

  // The same network, as long as it does not learn.
  Sizes at_rest() const {
    Sizes sizes = *this;
    sizes.eprop_plus = sizes.pairs = 0;
    return sizes;
  }
  bool at_spikes() const { return eprop_plus || pairs; }
  Index synapses_if(Index needed) const { return needed ? synapses : 0; }
  Index listening() const { return at_spikes() ? sources : 0; }  // axons with a history
  Index targets() const { return neurons + readouts; }

  // Rings of e-prop+; `width` is the padded number of neurons.
  Index width() const { return eprop_plus ? padded(neurons) : 0; }
  Index ring() const { return eprop_plus ? power_of_two(std::max(cutoff, block_steps) + 2) : 1; }
  Index blocks() const { return eprop_plus ? power_of_two(cutoff / block_steps + 3) : 1; }
  Index steps_back() const {                                                              // steps whose psi, L and F are known
    if (eprop_plus && descends_each_step) return power_of_two(cutoff + block_steps + 2);  // sums over blocks, see bounds.hpp
    return crosses || each_step ? ring() : 1;
  }
  Index crossed() const { return crosses ? entries : 0; }
  Index rewarded_blocks() const { return eprop_plus && reward_cutoff ? power_of_two(reward_cutoff / block_steps + 3) : 0; }
  Index rewarded_steps() const { return rewarded_blocks() * block_steps; }
  Index waiting() const { return rewarded_blocks() ? readouts : 0; }  // readouts whose errors wait for reward

  // All rules.
  Index past() const { return power_of_two(std::max(eprop_plus ? cutoff : 0, pairs ? pair_cutoff : 0) + longest_delay + 3); }
  Index remembered() const { return std::max({cutoff, reward_cutoff, pair_cutoff}) + longest_delay; }
  Index logged() const { return rewarded_blocks() ? power_of_two(remembered() + 3) : past(); }
};

// The numbers by name.
struct NamedSize {
  const char* name;
  Index Sizes::* number;
};
inline constexpr NamedSize kSizes[] = {{"neurons", &Sizes::neurons},
                                       {"readouts", &Sizes::readouts},
                                       {"sources", &Sizes::sources},
                                       {"synapses", &Sizes::synapses},
                                       {"populations", &Sizes::populations},
                                       {"delay_groups", &Sizes::delay_groups},
                                       {"trace_groups", &Sizes::trace_groups},
                                       {"state_rows", &Sizes::state_rows},
                                       {"receptors", &Sizes::receptors},
                                       {"constants", &Sizes::constants},
                                       {"products", &Sizes::products},
                                       {"rewired", &Sizes::rewired},
                                       {"level_bytes", &Sizes::level_bytes},
                                       {"adaptive_feedback", &Sizes::adaptive_feedback},
                                       {"eprop_plus", &Sizes::eprop_plus},
                                       {"pairs", &Sizes::pairs},
                                       {"two_kappas", &Sizes::two_kappas},
                                       {"crosses", &Sizes::crosses},
                                       {"gradients", &Sizes::gradients},
                                       {"moment_1", &Sizes::moment_1},
                                       {"moment_2", &Sizes::moment_2},
                                       {"each_step", &Sizes::each_step},
                                       {"descends_each_step", &Sizes::descends_each_step},
                                       {"own", &Sizes::own},
                                       {"entries", &Sizes::entries},
                                       {"corrections", &Sizes::corrections},
                                       {"filters", &Sizes::filters},
                                       {"filter_slots", &Sizes::filter_slots},
                                       {"cutoff", &Sizes::cutoff},
                                       {"pair_cutoff", &Sizes::pair_cutoff},
                                       {"reward_cutoff", &Sizes::reward_cutoff},
                                       {"longest_delay", &Sizes::longest_delay},
                                       {"block_steps", &Sizes::block_steps},
                                       {"span_blocks", &Sizes::span_blocks}};

}  // namespace eprop
