#include "fuzz/tools/fuzz_loop.h"

#include <algorithm>
#include <array>

#include "fuzz/exec/honesty.h"
#include "fuzz/tools/crash_trap.h"
#include "fuzz/tools/edge_counters.h"

namespace daxfuzz::tools {
namespace {

constexpr unsigned kSchedulesOfMutant = 3;
constexpr unsigned kSchedulesOfSmall = 8;  // of few operations: cheap, and a large part of all there are
constexpr size_t kSmallOps = 4;            // in tasks
constexpr unsigned kSchedulesOfApart = 2;  // of tasks that met on nothing that holds data
constexpr unsigned kSchedulesOfKept = 8;   // a program that showed something gets more of them
constexpr size_t kDirectedMax = 24;        // preemptions of a program, up to which directed ones are added
constexpr unsigned kRareTriesBits = 6;     // of up to 32 places for preemptions, the one that makes the rarest order
constexpr size_t kRecent = 32;             // corpus entries that count as recent
constexpr size_t kCorpusMax = 20000;
constexpr unsigned kRacesEvery = 4;       // of so many runs, one is watched for data races
constexpr int64_t kSmallFile = 64 << 10;  // bytes
// A program that runs long costs many short ones, and its mutants run as long: kept only for what is rare.
constexpr uint64_t kEventsCheap = 6000;
constexpr uint64_t kEventsKept = 60000;

// A class of hits as a bit; index 0 is not used.
constexpr auto kClassBits = [] {
  std::array<uint8_t, 256> bits{};
  for (unsigned count = 1; count < 256; ++count) {
    bits[count] = static_cast<uint8_t>(1u << (exec::count_class(static_cast<uint8_t>(count)) - 1));
  }
  return bits;
}();

}  // namespace

std::optional<PolicyKind> parse_policy(std::string_view name) {
  if (name == "coverage") { return PolicyKind::kCoverage; }
  if (name == "random") { return PolicyKind::kRandom; }
  if (name == "pct") { return PolicyKind::kPct; }
  if (name == "pos") { return PolicyKind::kPos; }
  if (name == "conflict") { return PolicyKind::kConflict; }
  if (name == "directed") { return PolicyKind::kDirected; }
  if (name == "replay") { return PolicyKind::kReplay; }
  return std::nullopt;
}

FuzzLoop::FuzzLoop(const LoopOptions& options) : options_(options), random_(options.seed) {
  edge_classes_.resize(EdgeCounters::get().total());
  pair_classes_.resize(exec::InterleavingCoverage::kCells);
  orders_seen_.resize(exec::InterleavingCoverage::kCells);
  mounts_.assign(options_.mounts.begin(), options_.mounts.end());
  if (!mounts_.empty()) { any_files_.mounts = mounts_; }
  if (options_.orders != nullptr) { orders_ = std::make_unique<residual::OrderRecorder>(); }
  small_files_ = any_files_;
  small_files_.file_bytes_max = kSmallFile;
}

const prog::Options& FuzzLoop::shape() { return random_.chance(1, 64) ? any_files_ : small_files_; }

// A corpus entry: half of the time a recent one; of two draws the smaller, whose runs are cheaper and tell more.
const prog::Program& FuzzLoop::pick() {
  const size_t recent = std::min(kRecent, corpus_.size());
  const auto draw = [&] {
    return random_.chance(1, 2) ? corpus_.size() - 1 - random_.below(recent) : random_.below(corpus_.size());
  };
  const size_t a = draw();
  const size_t b = draw();
  return corpus_[corpus_[a].op_count() <= corpus_[b].op_count() ? a : b];
}

// RETURNS: how many schedules to try.
unsigned FuzzLoop::next_candidate() {
  revisited_ = false;
  if (options_.policy == PolicyKind::kReplay) {
    candidate_ = prog::generate(random_, shape());
    return 1;
  }
  if (corpus_.empty() || !options_.feedback || random_.chance(1, 2)) {
    candidate_ = prog::generate(random_, shape());
    size_t ops = 0;
    for (const prog::Task& task : candidate_.tasks) { ops += task.ops.size(); }
    return ops <= kSmallOps ? kSchedulesOfSmall : kSchedulesOfMutant;
  }
  if (random_.chance(2, 5)) {
    candidate_ = pick();
    revisited_ = true;
    return kSchedulesOfKept;
  }
  if (random_.chance(1, 12)) {
    candidate_ = prog::crossover(pick(), pick(), random_, small_files_);
  } else {
    candidate_ = pick();
    prog::mutate(candidate_, random_, shape());
  }
  return kSchedulesOfMutant;
}

daxfs::rt::Policy* FuzzLoop::choose_policy(unsigned turn) {
  if (options_.policy == PolicyKind::kReplay || turn == 0) { return nullptr; }
  const bool coverage = options_.policy == PolicyKind::kCoverage;
  const uint64_t seed = random_.next();
  if (options_.policy == PolicyKind::kConflict || (coverage && random_.chance(1, 2))) {
    sched::SmallRandom draw(seed);
    sched::draw_focus(draw, coverage_.shared(), coverage_.shared_list(), &focus_);
    conflict_walk_.reseed(seed, 2 + random_.below(3), &focus_, outcome_.tasks_begin);
    return &conflict_walk_;
  }
  if (options_.policy == PolicyKind::kPos) {
    pos_.reseed(seed, outcome_.tasks_begin);
    return &pos_;
  }
  const bool walk = options_.policy == PolicyKind::kRandom || (coverage && random_.chance(1, 2));
  const uint64_t events = outcome_.tasks_end > outcome_.tasks_begin ? outcome_.tasks_end - outcome_.tasks_begin : 1000;
  if (walk) {
    // From dense switching to a handful of switches a run.
    walk_.reseed(seed, static_cast<uint32_t>(1 + random_.below(uint64_t{1} << random_.below(10))),
                 outcome_.tasks_begin);
    return &walk_;
  }
  pct_.reseed(seed, 1 + random_.below(4), events, outcome_.tasks_begin);
  return &pct_;
}

bool FuzzLoop::merge_features() {
  bool fresh = false;
  const uint64_t edges_before = stats_.edges;
  // Thousands of edges a run, of which hardly one is new: the way through must be short.
  uint8_t* const seen = edge_classes_.data();
  EdgeCounters::get().for_each_hit([&](size_t edge, uint8_t count) {
    const uint8_t bit = kClassBits[count];
    if (__builtin_expect((seen[edge] & bit) == 0, 0)) {
      stats_.edges += seen[edge] == 0;
      seen[edge] |= bit;
      fresh = true;
    }
  });
  for (const uint16_t cell : coverage_.touched()) {
    ++orders_seen_[cell];
    const uint8_t bit = kClassBits[coverage_.counts()[cell]];
    if ((pair_classes_[cell] & bit) == 0) {
      stats_.interleavings += pair_classes_[cell] == 0;
      pair_classes_[cell] |= bit;
      fresh = true;
    }
  }
  for (const oracle::OpRecord& record : outcome_.history.records) {
    if (!record.finished) { continue; }
    const size_t answer = static_cast<size_t>(record.error) +
                          (record.signal != oracle::Signal::kNone ? 128 + static_cast<size_t>(record.signal) : 0);
    uint64_t& word = answers_[static_cast<size_t>(record.op->code) * 3 + std::min<size_t>(answer / 64, 2)];
    const uint64_t bit = uint64_t{1} << answer % 64;
    fresh |= (word & bit) == 0;
    word |= bit;
  }
  if (outcome_.events > kEventsKept) { return false; }
  return outcome_.events <= kEventsCheap ? fresh : stats_.edges != edges_before;
}

// Without a corpus, only policies that ask where tasks met need to see the run.
bool FuzzLoop::watches() const {
  return options_.feedback || options_.policy == PolicyKind::kCoverage || options_.policy == PolicyKind::kConflict ||
         options_.policy == PolicyKind::kDirected;
}

bool FuzzLoop::run_once(daxfs::rt::Policy* policy, sched::Touches* touches) {
  exec::RunConfig config;
  config.policy = policy;
  if (watches()) {
    coverage_.begin_run(touches);
    EdgeCounters::get().reset();
    config.observer = &coverage_;
  }
  // They cost as much as an observer and half as much again. Replays look always.
  if (!watches() || stats_.runs % kRacesEvery != 0) { config.races = daxfs::rt::Races::kIgnore; }
  const bool sampled = orders_ != nullptr && stats_.runs % options_.orders_every == 0;
  if (sampled) {
    orders_->begin_run(candidate_, config.observer);
    config.observer = orders_.get();
  }
  config.log = options_.log;
  if (options_.before_run) { options_.before_run(candidate_); }
  executor_.run(candidate_, config, &outcome_);
  if (sampled) { orders_->end_run(options_.orders); }
  ++stats_.runs;
  stats_.events += outcome_.events;
  return watches() && merge_features();
}

void FuzzLoop::keep(bool random_schedule) {
  if (!options_.feedback || corpus_.size() >= kCorpusMax) { return; }
  corpus_.push_back(candidate_);
  if (random_schedule) { exec::adopt_schedule(outcome_.taken, &corpus_.back()); }
  stats_.corpus = corpus_.size();
}

// As a machine shows it that never ran anything. If that shows nothing, the replays will say so.
void FuzzLoop::describe_from_cold(LoopFinding* found) {
  exec::Executor cold;
  exec::Outcome outcome;
  cold.run(found->program, {}, &outcome);
  if (!outcome.finding) { return; }
  found->finding = *outcome.finding;
  found->key = exec::finding_key(found->finding);
  found->title = exec::finding_title(found->finding);
  found->trace_hash = outcome.trace_hash;
}

std::optional<LoopFinding> FuzzLoop::take_finding() {
  ++stats_.findings;
  LoopFinding found;
  found.finding = *outcome_.finding;
  found.key = exec::finding_key(found.finding);
  if (std::find(known_keys_.begin(), known_keys_.end(), found.key) != known_keys_.end()) { return std::nullopt; }
  found.title = exec::finding_title(found.finding);
  found.trace_hash = outcome_.trace_hash;
  found.program = candidate_;
  const bool complete = exec::adopt_schedule(outcome_.taken, &found.program);
  if (crashed()) {
    found.crashed = true;
    return found;
  }
  if (exec::kReplaysCold) { describe_from_cold(&found); }
  found.replays =
      exec::equal_replays(executor_, found.program, found.finding, found.trace_hash, options_.before_replay);
  // What TSan still knows of an earlier access may depend on where the heap put things; the race is one all the same.
  const bool of_tsan = exec::kReplaysCold && found.finding.verdict == daxfs::Verdict::kDataRace;
  found.replayed = of_tsan ? found.replays > 0 : found.replays == exec::replays_needed(found.finding);
  // More switches than a program holds: leave the key open, another run will show it with fewer.
  if (!complete && !found.replayed) { return std::nullopt; }
  known_keys_.push_back(found.key);
  return found;
}

void FuzzLoop::add_preemption(const sched::Anchor& anchor) {
  const bool op_fits = anchor.op <= prog::kAnchorOpMax || anchor.op == daxfs::rt::kNoOp;
  if (!op_fits || anchor.event > prog::kEventMax || candidate_.schedule.size() >= kDirectedMax) { return; }
  candidate_.schedule.push_back({.task = static_cast<prog::TaskId>(anchor.task),
                                 .next = static_cast<prog::TaskId>(anchor.next),
                                 .op = static_cast<uint16_t>(anchor.op),
                                 .event = static_cast<uint32_t>(anchor.event)});
}

// One more preemption where tasks met in the run of the candidate's own schedule, seldom two; or, as often, two that
// put an access of one task between two of another. False: no such place, or no room.
bool FuzzLoop::add_directed_preemptions(bool awaited) {
  sched::SmallRandom draw(random_.next());
  const unsigned tries = 1u << random_.below(kRareTriesBits);
  if (random_.chance(1, 2)) {
    if (const auto window = touches_.draw_window(draw, tries, orders_seen_)) {
      // Who waits for the second one may as well not have begun.
      if (!awaited || random_.chance(2, 3)) { add_preemption((*window)[0]); }
      add_preemption((*window)[1]);
    }
  } else {
    for (unsigned wanted = random_.chance(1, 4) ? 2 : 1; wanted > 0; --wanted) {
      const auto anchor = touches_.draw(draw, tries, orders_seen_);
      if (!anchor) { return false; }
      add_preemption(*anchor);
    }
  }
  return candidate_.schedule.size() != own_schedule_.size();
}

// The candidate's schedule; the preemptions that were just added are awaited, and chance has a say where tasks block.
daxfs::rt::Policy* FuzzLoop::anchored_walk() {
  exec::to_anchors(candidate_, &anchors_);
  anchored_walk_.set(anchors_);
  const auto added = std::span(anchors_).subspan(own_schedule_.size());
  // Requests that end at once, a little later, or when everybody waits.
  const uint32_t between = random_.chance(1, 3) ? 0 : random_.chance(1, 2) ? 1 : 1 + random_.below(64);
  anchored_walk_.reseed(
      random_.next(), added,
      {.one_in = 2 + random_.below(3), .events_between = between, .first_event = outcome_.tasks_begin});
  return &anchored_walk_;
}

std::optional<LoopFinding> FuzzLoop::step() {
  unsigned turns = next_candidate();
  coverage_.forget_shared();
  own_schedule_ = candidate_.schedule;
  for (unsigned turn = 0; turn < turns; ++turn) {
    candidate_.schedule = own_schedule_;
    const bool directed = turn > 0 && (options_.policy == PolicyKind::kDirected ||
                                       (options_.policy == PolicyKind::kCoverage && random_.chance(1, 2)));
    const bool awaited = directed && random_.chance(2, 3);
    // Of what was kept with its schedule: chance decides when requests end, and nothing else changes.
    const bool as_it_is = awaited && revisited_ && random_.chance(1, 4);
    if (directed && !as_it_is && !add_directed_preemptions(awaited)) { continue; }
    daxfs::rt::Policy* const policy = awaited ? anchored_walk() : directed ? nullptr : choose_policy(turn);
    const bool fresh = run_once(policy, turn == 0 ? &touches_ : nullptr);
    if (outcome_.finding) { return take_finding(); }
    if (fresh) { keep(policy != nullptr); }
    if (turn == 0) { touches_.keep_events(outcome_.tasks_begin, outcome_.tasks_end); }
    const bool alone = candidate_.tasks.size() < 2;  // but for the requests and workers that it left behind
    if (alone && !watches()) { break; }
    if (turn == 0 && watches() && !touches_.met()) { turns = std::min(turns, alone ? 1 : kSchedulesOfApart); }
  }
  return std::nullopt;
}

bool FuzzLoop::offer(const prog::Program& program, std::optional<LoopFinding>* finding) {
  candidate_ = program;
  const bool fresh = run_once(nullptr);
  if (outcome_.finding) {
    *finding = take_finding();
    return false;
  }
  if (fresh) { keep(false); }
  return fresh;
}

}  // namespace daxfuzz::tools
