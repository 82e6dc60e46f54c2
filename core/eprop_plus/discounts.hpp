// Discounted gradients: what momentum at each step (momentum.hpp) needs beside the gradient of an interval.
//
// The entries g of n steps leave the discounted gradient sum_t beta^(n-1-t) g_t. It is linear in the state of a synapse, as the
// gradient is, so a propagator has entries that lead to it. One step more:
//
//     DGE  e_bar -> discounted gradient      DGE = beta DGE + L kappa^n
//     DGR  e_bar_reg (two kappas)            DGR = beta DGR + F kappa_reg^n
//     DG   component                         DG  = beta DG + L E + F R      (E, R before the step)
//
// They are computed on demand, for each beta, from the stored steps and the block prefixes of the past. So a state does not
// contain them, and networks without such an optimiser have none.
#pragma once
#include "eprop_plus/branches.hpp"

namespace eprop {

// Number of the momentum of a delay group.
template <class Real> Index momentum_of(const PlusWork<Real>& plus, const DelayGroup& group) {
  return std::find(plus.betas.begin(), plus.betas.end(), group.optimizer.beta_1) - plus.betas.begin();
}

// Row of PlusWork::discounts for a block, and of PlusWork::discount_copies: one more for each ExtraCopy.
template <class Real> Index discount_row(const PlusWork<Real>& plus, Index momentum, Index block) {
  const Index blocks = plus.to_current_block.planes;
  return momentum * blocks + (block & (blocks - 1));
}
template <class Real> Index discount_copy(const PlusWork<Real>& plus, Index momentum, Index row) {
  return momentum * (plus.to_current_block.planes + kExtraCopies) + row;
}

template <Kind K, class T> EPROP_INLINE Rows<K.n_discounted(), T> discounts_of(const Array2<T>& a) {
  return rows_of<K.n_discounted()>(a);
}

// Adds a step to the entries, `before` which are the powers and the block prefix.
template <Kind K, class Real> void discount_step(const TargetRange<Real>& targets, Index t, Real beta, const Array2<Real>& sums) {
  const OnlineState<Real>& state = targets.state;
  const History<Real>& history = state.history;
  const StoredStep stored = stored_step(history, t);
  const Powers<Real> before = powers<K, Real>(state.topology, targets.trace_group, t & (history.block_steps - 1));
  const auto prefix = entries_of<K>(plane_of(history.prefix_history, t & (history.prefix_history.planes - 1)));
  const auto out = discounts_of<K>(sums);
  EPROP_INDEPENDENT
  for (Index j = targets.begin; j < targets.end; j++) {
    const Real learning = static_cast<Real>(stored.learning(j));
    Real regularisation = 0;
    out[K.D_GE()][j] = beta * out[K.D_GE()][j] + learning * before.kappa;
    if constexpr (K.two_kappas) {
      regularisation = static_cast<Real>(stored.regularisation(j));
      out[K.D_GR()][j] = beta * out[K.D_GR()][j] + regularisation * before.kappa_reg;
    }
    unroll<K.n_components()>([&](auto k) EPROP_INLINED {
      Real g = learning * prefix[K.E() + k][j];
      if constexpr (K.two_kappas) g += regularisation * prefix[K.R() + k][j];
      out[K.D_G() + k][j] = beta * out[K.D_G() + k][j] + g;
    });
  }
}

// Entries from the start of a block to step `end`, or to the end of the block.
template <Kind K, class Real>
Array2<const Real> discount_block(const TargetRange<Real>& targets, Index momentum, Index block, Index end) {
  PlusWork<Real>& plus = targets.state.plus;
  const Index steps = targets.state.history.block_steps, row = discount_row(plus, momentum, block);
  const Array2<Real> sums = plus.discounts.plane(row);
  Index& summed = targets.cached->discounted[row];
  if (summed <= block * steps || summed > (block + 1) * steps) {
    summed = block * steps;
    for (int k = 0; k < K.n_discounted(); k++) std::fill(sums.row(k) + targets.begin, sums.row(k) + targets.end, Real(0));
  }
  const Real beta = static_cast<Real>(plus.betas[momentum]);
  for (; summed < std::min(end, (block + 1) * steps); summed++) discount_step<K>(targets, summed, beta, sums);
  return plane_of(plus.discounts, row);
}

// Composes a block, with its propagator and entries, and the entries from its end on, which are discounted by `left`.
template <Kind K, class Real> void compose_discounts(const TargetRange<Real>& targets, Index block, Array2<const Real> first_,
                                                     Real left, Array2<const Real> second_, Array2<Real> out_) {
  const History<Real>& history = targets.state.history;
  const Powers<Real> p = powers<K, Real>(targets.state.topology, targets.trace_group, history.block_steps);
  const auto through = entries_of<K>(plane_of(history.block_propagators, block & (history.block_propagators.planes - 1)));
  const auto first = discounts_of<K>(first_), second = discounts_of<K>(second_);
  const auto out = discounts_of<K>(out_);
  constexpr int D = K.n_filters, G = K.D_G();
  EPROP_INDEPENDENT
  for (Index j = targets.begin; j < targets.end; j++) {
    out[K.D_GE()][j] = left * first[K.D_GE()][j] + second[K.D_GE()][j] * p.kappa;
    if constexpr (K.two_kappas) out[K.D_GR()][j] = left * first[K.D_GR()][j] + second[K.D_GR()][j] * p.kappa_reg;
    unroll<K.n_components()>([&](auto component) EPROP_INLINED {
      constexpr int k = component;
      Real g = left * first[G + k][j] + second[K.D_GE()][j] * through[K.E() + k][j];
      if constexpr (K.two_kappas) g += second[K.D_GR()][j] * through[K.R() + k][j];
      if constexpr (D > 0 && k < D) g += second[G][j] * (k == 0 ? p.f00 : p.f01);
      if constexpr (D > 1 && k < D) g += second[G + 1][j] * (k == 0 ? p.f10 : p.f11);
      if constexpr (K.n_own == 1) g += second[G + D][j] * through[K.A() + k][j];
      out[G + k][j] = g;
    });
  }
}

// Finds the entries from the start of block `lowest`, and of all blocks between, to the start of block `current`.
template <Kind K, class Real>
void find_discounts_ahead(const TargetRange<Real>& targets, Index momentum, Index lowest, Index current) {
  PlusWork<Real>& plus = targets.state.plus;
  const Index steps = targets.state.history.block_steps;
  for (Index block = current - 1; block >= lowest; block--) {
    const Index row = discount_row(plus, momentum, block);
    Index& leads_to = targets.cached->discounted_ahead[row];
    if (leads_to == current) continue;
    leads_to = current;
    const Array2<const Real> whole = discount_block<K>(targets, momentum, block, (block + 1) * steps);
    const Array2<Real> out = plus.discounts_ahead.plane(row);
    if (block == current - 1) {
      copy_rows(targets.begin, targets.end, K.n_discounted(), whole, out);
    } else {
      const Real left = static_cast<Real>(power(plus.betas[momentum], (current - block - 1) * steps));
      const auto rest = plane_of(plus.discounts_ahead, discount_row(plus, momentum, block + 1));
      compose_discounts<K>(targets, block, whole, left, rest, out);
    }
  }
}

// Neuron-major copies of the entries from the start of `block` to that of block `current`, for all neurons.
template <Kind K, class Real> void copy_discounts_ahead(const GroupStep<Real>& step, Index momentum, Index block, Index current) {
  const PlusWork<Real>& plus = step.state.plus;
  const Index row = discount_copy(plus, momentum, block & (plus.to_current_block.planes - 1));
  Index& copied = step.targets.cached->discounts_copied[row];
  if (copied == current) return;
  copied = current;
  find_discounts_ahead<K>(step.targets, momentum, block, current);
  copy_neurons(step.targets.begin, step.targets.end,
               discounts_of<K>(plane_of(plus.discounts_ahead, discount_row(plus, momentum, block))),
               copies_of<K.n_discounted()>(plus.discount_copies, row, step.group.target_begin));
}

// Neuron-major copies of the entries from the start of `block` to this step, for the targets of some branches.
template <Kind K, class Real, class Listed>
void copy_discounts(const GroupStep<Real>& step, const BranchList<Listed>& branches, Index block, ExtraCopy copy) {
  const PlusWork<Real>& plus = step.state.plus;
  const Index momentum = momentum_of(plus, step.group), row = discount_copy(plus, momentum, plus.to_current_block.planes + copy);
  copy_for_targets(step.targets, branches, discounts_of<K>(discount_block<K>(step.targets, momentum, block, step.t)),
                   copies_of<K.n_discounted()>(plus.discount_copies, row, step.group.target_begin), step.t,
                   step.targets.cached->discounts_copied[row]);
}

// Copies for branches whose last spikes lie within the cutoff; those with last spikes in the same block are adjacent.
template <Kind K, class Real>
void copy_discounts_of_blocks(const GroupStep<Real>& step, const BranchList<ArrivingBranch>& branches, Index current) {
  const Index momentum = momentum_of(step.state.plus, step.group), steps = step.state.history.block_steps;
  for (Index k = 0; k < branches.count; k++) {
    const Index block = branches.first[k].last / steps;
    if (block == current) return;
    copy_discounts_ahead<K>(step, momentum, block, current);
  }
}

}  // namespace eprop
