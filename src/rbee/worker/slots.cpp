#include "rbee/worker/slots.hpp"

#include "rbee/base/assert.hpp"

namespace rbee::worker {

std::optional<SlotPool::Lease> SlotPool::try_take() {
    if (busy_ >= total_) {
        return std::nullopt;
    }
    ++busy_;
    changed_(busy_);
    return std::optional<Lease>(std::in_place, *this);
}

void SlotPool::give_back() {
    RBEE_ASSERT(busy_ > 0);
    --busy_;
    changed_(busy_);
}

} // namespace rbee::worker
