#include "rbee/base/cancel.hpp"

#include <utility>

namespace rbee {

std::string_view to_string(CancelReason reason) {
    switch (reason) {
    case CancelReason::client_gone:
        return "client_gone";
    case CancelReason::requested:
        return "requested";
    case CancelReason::deadline:
        return "deadline";
    case CancelReason::stalled:
        return "stalled";
    case CancelReason::shutdown:
        return "shutdown";
    }
    return "unknown";
}

void CancelSource::Registration::reset() {
    if (source_ != nullptr) {
        source_->callbacks_.erase(id_);
        source_ = nullptr;
    }
}

CancelSource::Registration CancelSource::on_cancel(Callback callback) {
    if (reason_) {
        callback(*reason_);
        return {};
    }
    const std::uint64_t id = next_id_++;
    callbacks_.emplace(id, std::move(callback));
    return {*this, id};
}

void CancelSource::cancel(CancelReason reason) {
    if (reason_) {
        return;
    }
    reason_ = reason;
    // A callback may drop other registrations: take one at a time.
    while (!callbacks_.empty()) {
        const Callback callback = std::move(callbacks_.begin()->second);
        callbacks_.erase(callbacks_.begin());
        callback(reason);
    }
}

} // namespace rbee
