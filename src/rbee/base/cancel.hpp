#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string_view>
#include <utility>

namespace rbee {

/// Why work should stop.
enum class CancelReason {
    client_gone, ///< The peer that asked closed its connection.
    requested,   ///< An explicit cancel, such as DELETE /v1/inference/{id}.
    deadline,    ///< The request's deadline has passed.
    stalled,     ///< The reader took nothing for too long.
    shutdown,    ///< This program is stopping.
};

/// The reason in lower snake case, for logs and metrics.
[[nodiscard]] std::string_view to_string(CancelReason reason);

/// One request's "stop now", shared by everything that works for it. Every cause (client gone,
/// explicit cancel, deadline, shutdown) takes this one path. Belongs to one event loop: not
/// thread-safe. The first reason wins; later ones are ignored.
class CancelSource {
public:
    using Callback = std::function<void(CancelReason)>;

    /// Keeps a callback registered for as long as it lives.
    class [[nodiscard]] Registration {
    public:
        Registration() = default;
        Registration(CancelSource& source, std::uint64_t id) : source_(&source), id_(id) {}
        Registration(Registration&& other) noexcept
            : source_(std::exchange(other.source_, nullptr)), id_(other.id_) {}
        Registration& operator=(Registration&& other) noexcept {
            if (this != &other) {
                reset();
                source_ = std::exchange(other.source_, nullptr);
                id_ = other.id_;
            }
            return *this;
        }
        Registration(const Registration&) = delete;
        Registration& operator=(const Registration&) = delete;
        ~Registration() { reset(); }
        void reset();

    private:
        CancelSource* source_ = nullptr;
        std::uint64_t id_ = 0;
    };

    CancelSource() = default;
    CancelSource(const CancelSource&) = delete;
    CancelSource& operator=(const CancelSource&) = delete;
    ~CancelSource() = default;

    /// Calls `callback` once when cancelled; at once when that has happened already.
    /// The source must outlive the registration.
    Registration on_cancel(Callback callback);
    void cancel(CancelReason reason);
    [[nodiscard]] std::optional<CancelReason> reason() const { return reason_; }
    [[nodiscard]] bool cancelled() const { return reason_.has_value(); }

private:
    std::optional<CancelReason> reason_;
    std::uint64_t next_id_ = 0;
    std::map<std::uint64_t, Callback> callbacks_;
};

} // namespace rbee
