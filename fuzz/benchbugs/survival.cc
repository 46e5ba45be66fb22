#include "fuzz/benchbugs/survival.h"

#include <algorithm>

namespace daxfuzz::benchbugs {

Curve kaplan_meier(std::vector<Observation> observations) {
  std::sort(observations.begin(), observations.end(), [](const Observation& a, const Observation& b) {
    return a.time != b.time ? a.time < b.time : a.event && !b.event;
  });
  Curve curve;
  double surviving = 1;
  for (size_t i = 0; i < observations.size();) {
    const double time = observations[i].time;
    const auto at_risk = static_cast<double>(observations.size() - i);
    double events = 0;
    for (; i < observations.size() && observations[i].time == time; ++i) { events += observations[i].event ? 1 : 0; }
    if (events == 0) { continue; }
    surviving *= 1 - events / at_risk;
    curve.push_back({time, surviving});
  }
  return curve;
}

std::optional<double> median(const Curve& curve) {
  constexpr double kRounding = 1e-9;
  for (const CurvePoint& point : curve) {
    if (point.surviving <= 0.5 + kRounding) { return point.time; }
  }
  return std::nullopt;
}

double mean_until(const Curve& curve, double until) {
  double area = 0;
  double from = 0;
  double surviving = 1;
  for (const CurvePoint& point : curve) {
    if (point.time >= until) { break; }
    area += surviving * (point.time - from);
    from = point.time;
    surviving = point.surviving;
  }
  return area + surviving * (until - from);
}

}  // namespace daxfuzz::benchbugs
