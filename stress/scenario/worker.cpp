#include "stress/scenario/worker.h"

#include "harness/log/record_ring.h"

#include <algorithm>

namespace proberace {

std::uint64_t Worker::take_ticket() noexcept {
  mailbox_.ticket = mailbox_.ticket + 1;
  mailbox_.hits = 0;
  mailbox_.strays = 0;
  mailbox_.changed = 0;
  mailbox_.skipped = 0;
  return mailbox_.ticket;
}

void Worker::weigh(std::uint64_t state, int executions) noexcept {
  const bool clear = SiteState::quiet(state) && !SiteState::armed(state);
  clear_ahead_ = std::clamp(clear_ahead_ + (clear ? executions : -executions), -kMostAhead, kMostAhead);
}

void Worker::execute(std::size_t index) noexcept {
  const PlacedBody& body = shared_.text.bodies()[index];
  const std::uint64_t ticket = take_ticket();
  point_.pass("executing", body.site, ticket);

  Tally& tally = tallies_[index];
  const std::uint64_t passes = body.body->passes;
  tally.started = tally.started + passes;
  const std::uint64_t before = shared_.states[index].read();
  if (mailbox_.log != nullptr)
    mailbox_.log->append(RecordKind::Begin, index, ticket, before);
  const std::uint64_t result = proberace_call_body(bytes_at(body.entry), ticket, ticket, &mailbox_);
  const std::uint64_t after = shared_.states[index].read();
  if (mailbox_.log != nullptr)
    mailbox_.log->append(RecordKind::End, index, ticket, after);
  tally.finish(before, after, passes);
  weigh(before, 1);

  if (result != expected_result(ticket))
    report(Fault::WrongResult, index, result);
  if (mailbox_.strays != 0)
    report(Fault::WrongRegisters, index, result);
  if (shared_.tickets)
    if (const Fault fault = judge_execution(before, after, mailbox_.hits, passes); fault != Fault::None)
      report(fault, index, result);
  shared_.executions.fetch_add(1, std::memory_order_relaxed); // progress only
}

Fault Worker::execute_at(Address entry) noexcept {
  const std::uint64_t ticket = take_ticket();
  point_.pass("executing", entry, ticket);
  const std::uint64_t result = proberace_call_body(bytes_at(entry), ticket, ticket, &mailbox_);
  return result != expected_result(ticket) ? Fault::WrongResult
         : mailbox_.strays != 0            ? Fault::WrongRegisters
                                           : Fault::None;
}

void Worker::execute_in_a_row(std::size_t index, std::size_t times) noexcept {
  const PlacedBody& body = shared_.text.bodies()[index];
  point_.pass("executing", body.site, mailbox_.ticket + 1);
  Tally& tally = tallies_[index];
  const std::uint64_t passes = times * body.body->passes;
  tally.started += passes;
  const std::uint64_t before = shared_.states[index].read();
  for (std::size_t n = 0; n < times; ++n) {
    const std::uint64_t ticket = mailbox_.ticket + 1;
    mailbox_.ticket = ticket;
    const std::uint64_t result = proberace_call_body_lightly(bytes_at(body.entry), ticket, ticket, &mailbox_);
    if (result != expected_result(ticket))
      report(Fault::WrongResult, index, result);
  }
  const std::uint64_t after = shared_.states[index].read();
  tally.finish(before, after, passes);
  weigh(before, static_cast<int>(times));
  shared_.executions.fetch_add(times, std::memory_order_relaxed); // progress only
}

void Worker::report(Fault fault, std::size_t site, std::uint64_t result) noexcept {
  ++note_.count;
  if (note_.fault.load(std::memory_order_relaxed) != Fault::None) // its own note
    return;
  note_.site = site;
  note_.ticket = mailbox_.ticket;
  note_.hits = mailbox_.hits;
  note_.result = result;
  note_.fault.store(fault, std::memory_order_release); // pairs with the judge's read
}

} // namespace proberace
