#include "fuzz/tools/exec_subject.h"

namespace daxfuzz::tools {

void ExecSubject::run(const prog::Program& program, daxfs::rt::Policy* policy, daxfs::rt::Observer* observer,
                      minimize::Trial* trial) {
  exec::RunConfig config;
  config.policy = policy;
  config.observer = observer;
  config.events_max = events_max_;
  executor_.run(program, config, &outcome_);
  trial->fires = false;
  if (outcome_.finding) {
    const std::string key = exec::finding_key(*outcome_.finding);
    if (key_.empty()) { key_ = key; }
    trial->fires = key == key_;
  }
  trial->trace_hash = outcome_.trace_hash;
  trial->tasks_begin = outcome_.tasks_begin;
  trial->tasks_end = outcome_.tasks_end;
  trial->drift = outcome_.drift;
  trial->complete = exec::adopt_schedule(outcome_.taken, &taken_);
  trial->taken = taken_.schedule;
}

}  // namespace daxfuzz::tools
