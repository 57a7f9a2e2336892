#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <utility>

namespace rbee::worker {

/// Counts who may generate at the same time. A slot belongs to at most one request and comes back
/// on every path, because its lease does it. Belongs to one event loop; must outlive its leases.
class SlotPool {
public:
    class [[nodiscard]] Lease {
    public:
        explicit Lease(SlotPool& pool) : pool_(&pool) {}
        Lease(Lease&& other) noexcept : pool_(std::exchange(other.pool_, nullptr)) {}
        Lease& operator=(Lease&&) = delete;
        Lease(const Lease&) = delete;
        Lease& operator=(const Lease&) = delete;
        ~Lease() {
            if (pool_ != nullptr) {
                pool_->give_back();
            }
        }

    private:
        SlotPool* pool_;
    };

    /// `changed` is told the new number of busy slots.
    explicit SlotPool(std::function<void(std::uint32_t)> changed) : changed_(std::move(changed)) {}

    /// Before the model is loaded there are none.
    void set_total(std::uint32_t total) { total_ = total; }
    /// Nothing when all are taken.
    [[nodiscard]] std::optional<Lease> try_take();
    [[nodiscard]] std::uint32_t total() const { return total_; }
    [[nodiscard]] std::uint32_t busy() const { return busy_; }

private:
    void give_back();

    std::uint32_t total_ = 0;
    std::uint32_t busy_ = 0;
    std::function<void(std::uint32_t)> changed_;
};

} // namespace rbee::worker
