// fs/rt/fiber/lockdep.cc - verdicts about locks, and pseudo-locks with ranks. Kernel: kernel/locking/lockdep.c.
#include <cstdlib>
#include <string>

#include "fs/rt/fiber/engine_state.h"

namespace daxfs::rt {
namespace internal {
namespace {

std::string site_text(Site site) {
  return std::string(site.function_name()) + " (" + site.file_name() + ":" + std::to_string(site.line()) + ")";
}

// What a finding is about: the lock, if it is one and no pseudo-lock.
About about_lock(ObjectId object) {
  return object_class(object) == ObjectClass::kLock ? about(lock_ref(object)) : About{};
}

FS_COLD void report_misuse(const char* tag, std::string title, std::string detail, Site site, About about = {},
                           Verdict verdict = Verdict::kLockMisuse) {
  detail += "at " + site_text(site) + "\n";
  daxfs::report_finding(verdict, tag, std::move(title), std::move(detail), site, about);
  FS_STOP_AT_FINDING();
}

std::string held_text(const HeldLock& held) {
  return std::string(held.name) + " [" + rank_name(held.rank) + "], taken at " + site_text(held.site) + "\n";
}

}  // namespace

void report_sleep_in_atomic(Site site) {
  const TaskCore& core = *g_current;
  std::string detail;
  const char* why = context_name(core.context);
  if (core.context == Context::kProcess || core.context == Context::kWorker) { why = "a spinlock held"; }
  if (core.rcu_depth != 0) {
    why = "an RCU read section";
    detail = "inside an RCU read section\n";
  }
  for (unsigned i = 0; i < core.held_count; ++i) {
    if (core.held[i].mode == LockMode::kSpin) { detail += "spinlock held: " + held_text(core.held[i]); }
  }
  report_misuse("LD1", std::string("sleep in atomic context: ") + why, std::move(detail), site);
}

void report_recursion(const void* lock, const char* name, Site site) {
  const HeldLock* held = find_held(lock);
  report_misuse("LD2", std::string("recursive locking of ") + name,
                held == nullptr ? std::string() : "already held: " + held_text(*held), site,
                held == nullptr ? About{} : about_lock(held->object));
}

void report_rank_inversion(const void* lock, Rank rank, unsigned subclass, const char* name, Site site) {
  if (lock != nullptr && find_held(lock) != nullptr) { return report_recursion(lock, name, site); }
  const TaskCore& core = *g_current;
  const HeldLock* worst = nullptr;
  std::string detail;
  for (unsigned i = 0; i < core.held_count; ++i) {
    const HeldLock& held = core.held[i];
    detail += "held: " + held_text(held);
    if (held.level >= lock_level(rank, subclass) && (worst == nullptr || held.level > worst->level)) { worst = &held; }
  }
  report_misuse("LD3",
                std::string("rank inversion: ") + name + " [" + rank_name(rank) + "] taken under " +
                    (worst == nullptr ? "?" : worst->name) + " [" +
                    rank_name(worst == nullptr ? Rank::kNone : worst->rank) + "]",
                std::move(detail), site, worst == nullptr ? About{} : about_lock(worst->object));
}

void report_not_held(const char* name, ObjectId object, int owner, Site site) {
  if (owner == kNoTask) {
    report_misuse("LD4", std::string("unlock of ") + name + ", which the task does not hold", "", site,
                  about_lock(object));
    return;
  }
  std::string detail = "owner: " + describe_task_line(g_engine.tasks[owner]);
  report_misuse("LD5", std::string("unlock of ") + name + " by a task that is not its owner", std::move(detail), site,
                about_lock(object));
}

void report_too_many_held(Site site) {
  report_misuse("RT3", "too many locks held by one task", "", site, {}, Verdict::kHarness);
}

void report_assert_held(const char* name, ObjectId object, Site site) {
  report_misuse("LD7", std::string(name) + " is not held", "", site, about_lock(object));
}

FS_NO_TSAN void remove_held(TaskCore* core, unsigned index) {
  for (unsigned i = index + 1; i < core->held_count; ++i) { core->held[i - 1] = core->held[i]; }
  --core->held_count;
  uint16_t max = index == 0 ? uint16_t{0} : core->held[index - 1].level_max;
  for (unsigned i = index; i < core->held_count; ++i) {
    if (core->held[i].level > max) { max = core->held[i].level; }
    core->held[i].level_max = max;
  }
}

namespace {

FS_COLD void report_leaked(const char* where, Site site) {
  const TaskCore& core = *g_current;
  std::string detail;
  std::string title;
  if (core.held_count != 0) {
    title = std::string("lock ") + core.held[0].name + " still held at the end of the " + where;
    site = core.held[0].site;
  } else {
    title = std::string("RCU read section still open at the end of the ") + where;
  }
  for (unsigned i = 0; i < core.held_count; ++i) { detail += "held: " + held_text(core.held[i]); }
  report_misuse("LD6", std::move(title), std::move(detail), site);
}

}  // namespace

FS_NO_TSAN void check_nothing_held(const char* where, Site site) {
  if (__builtin_expect((g_current->held_count | g_current->rcu_depth) != 0, 0)) { report_leaked(where, site); }
}

}  // namespace internal

FS_NO_TSAN void rank_acquire_nested(Rank rank, unsigned subclass, ObjectId object, Site site) {
  internal::check_rank(nullptr, rank, subclass, rank_name(rank), site);
  internal::push_held(nullptr, object, rank_name(rank), site, rank, subclass, internal::LockMode::kRank);
}

FS_NO_TSAN void rank_acquire(Rank rank, ObjectId object, Site site) { rank_acquire_nested(rank, 0, object, site); }

FS_NO_TSAN void rank_release(Rank rank, ObjectId object, Site site) {
  internal::TaskCore* core = internal::g_current;
  for (unsigned i = core->held_count; i-- > 0;) {
    const internal::HeldLock& held = core->held[i];
    if (held.mode == internal::LockMode::kRank && held.rank == rank && held.object == object) {
      internal::remove_held(core, i);
      return;
    }
  }
  internal::report_not_held(rank_name(rank), object, kNoTask, site);
}

FS_NO_TSAN bool rank_held(Rank rank) {
  const internal::TaskCore* core = internal::g_current;
  for (unsigned i = core->held_count; i-- > 0;) {
    if (core->held[i].rank == rank) { return true; }
  }
  return false;
}

}  // namespace daxfs::rt
