#include "rbee/http/reaper.hpp"

#include "rbee/base/assert.hpp"

#include <boost/system/error_code.hpp>

#include <utility>

namespace rbee::http {

Reaper::Reaper(const boost::asio::any_io_executor& executor) : timer_(executor) {}

Reaper::~Reaper() {
    RBEE_ASSERT(first_ == nullptr);
}

void Reaper::stop() {
    stopped_ = true;
    timer_.cancel();
}

void Reaper::schedule() {
    if (ticking_ || stopped_) {
        return;
    }
    ticking_ = true;
    timer_.expires_after(tick);
    timer_.async_wait([this](const boost::system::error_code& error) {
        if (error) {
            return; // stopping, and perhaps destroyed already
        }
        ticking_ = false;
        sweep();
        if (first_ != nullptr) {
            schedule();
        }
    });
}

void Reaper::sweep() {
    const TimePoint now = std::chrono::steady_clock::now();
    for (Entry* entry = first_; entry != nullptr; entry = cursor_) {
        cursor_ = entry->next_;
        if (entry->due_ <= now) {
            entry->due_ = TimePoint::max();
            entry->expired_ = true;
            entry->on_expired_();
        }
    }
}

Reaper::Entry::Entry(Reaper& reaper, std::function<void()> on_expired)
    : reaper_(reaper), on_expired_(std::move(on_expired)), next_(reaper.first_) {
    if (next_ != nullptr) {
        next_->previous_ = this;
    }
    reaper_.first_ = this;
    reaper_.schedule();
}

Reaper::Entry::~Entry() {
    if (reaper_.cursor_ == this) {
        reaper_.cursor_ = next_;
    }
    if (previous_ != nullptr) {
        previous_->next_ = next_;
    } else {
        reaper_.first_ = next_;
    }
    if (next_ != nullptr) {
        next_->previous_ = previous_;
    }
}

void Reaper::Entry::arm(Duration limit) {
    expired_ = false;
    due_ = std::chrono::steady_clock::now() + limit;
}

} // namespace rbee::http
