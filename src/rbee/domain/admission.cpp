#include "rbee/domain/admission.hpp"

#include <algorithm>
#include <string>
#include <utility>

namespace rbee::domain {

Admission::Waiter Admission::make_waiter(Wanted wanted, TimePoint now) {
    return {++last_ticket_, std::move(wanted), now + limits_.wait_max};
}

bool Admission::somebody_ahead(const Waiter& waiter) const {
    return std::ranges::any_of(waiters_, [&](const auto& entry) {
        return entry.first < waiter.ticket && entry.second.wanted == waiter.wanted;
    });
}

Result<Admission::Outcome> Admission::admit(const Waiter& waiter, const Place& place) {
    if (!somebody_ahead(waiter) && place(waiter)) {
        return Outcome::granted;
    }
    if (waiters_.size() >= limits_.capacity) {
        return fail(
            Errc::busy,
            "every slot is taken and " + std::to_string(limits_.capacity) +
                " requests wait already",
            "QUEUE_FULL"
        );
    }
    waiters_.emplace(waiter.ticket, waiter);
    return Outcome::waiting;
}

Admission::Outcome Admission::readmit(const Waiter& waiter, const Place& place) {
    if (!somebody_ahead(waiter) && place(waiter)) {
        return Outcome::granted;
    }
    waiters_.emplace(waiter.ticket, waiter);
    return Outcome::waiting;
}

std::vector<Admission::Ticket> Admission::grant(const Place& place) {
    std::vector<Ticket> granted;
    std::vector<Wanted> hopeless;
    for (auto entry = waiters_.begin(); entry != waiters_.end();) {
        const Waiter& waiter = entry->second;
        if (std::ranges::find(hopeless, waiter.wanted) != hopeless.end()) {
            ++entry;
        } else if (place(waiter)) {
            granted.push_back(waiter.ticket);
            entry = waiters_.erase(entry);
        } else {
            hopeless.push_back(waiter.wanted);
            ++entry;
        }
    }
    return granted;
}

bool Admission::leave(Ticket ticket) {
    return waiters_.erase(ticket) != 0;
}

} // namespace rbee::domain
