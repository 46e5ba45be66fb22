// fuzz/benchbugs/survival.h - times to an event of which some were not waited for: Kaplan-Meier.
//
// A trial that ended without a finding says "longer than this", no more. Dropping such trials, or counting them as if
// they had ended, would make a policy look the better the less of its hard cases fit the budget. The estimator uses
// each trial for as long as it ran. Source: Kaplan, Meier, "Nonparametric estimation from incomplete observations",
// JASA 1958; for fuzzers: Arcuri, Briand, "A hitchhiker's guide to statistical tests", STVR 2014.
//
// Tested by: fuzz/benchbugs/survival_test.cc.
#pragma once

#include <optional>
#include <vector>

namespace daxfuzz::benchbugs {

struct Observation {
  double time = 0;
  bool event = false;  // false: censored, nothing had happened until then
};

// The curve: the share of trials without the event just after `time`. Drops at events only; begins at 1, at time 0.
struct CurvePoint {
  double time;
  double surviving;
};
using Curve = std::vector<CurvePoint>;

// Of trials with equal times, events come before ends without one: who was still looking then could have seen it.
Curve kaplan_meier(std::vector<Observation> observations);

// When the curve first is at one half or below; nothing if it never gets there.
std::optional<double> median(const Curve& curve);

// The area under the curve up to `until`: the mean time when each trial is stopped there at the latest. Unlike the
// median it always exists, and it compares policies only under one budget.
double mean_until(const Curve& curve, double until);

}  // namespace daxfuzz::benchbugs
