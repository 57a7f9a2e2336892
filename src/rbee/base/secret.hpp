#pragma once

#include <string>
#include <string_view>
#include <utility>

namespace rbee {

/// Text that must not be seen: it cannot be printed or compared, is never copied, and is
/// overwritten when it goes. Not thread-safe.
class Secret {
public:
    Secret() = default;
    explicit Secret(std::string value) : value_(std::move(value)) {}
    Secret(Secret&& other) noexcept;
    Secret& operator=(Secret&& other) noexcept;
    Secret(const Secret&) = delete;
    Secret& operator=(const Secret&) = delete;
    ~Secret();

    [[nodiscard]] bool empty() const { return value_.empty(); }
    /// The text itself, for the one place that must send or hash it.
    [[nodiscard]] std::string_view expose() const { return value_; }
    [[nodiscard]] Secret clone() const { return Secret(value_); }

private:
    void wipe();
    std::string value_;
};

} // namespace rbee
