#pragma once

#include "rbee/base/result.hpp"
#include "rbee/process/pulse.hpp"

#include <boost/asio/any_io_executor.hpp>

#include <functional>
#include <memory>
#include <utility>
#include <vector>

namespace rbee::process {

/// Hears that processes die, at once, whatever memory they hold: pidfd, SIGCHLD and closed sockets
/// tell only after the kernel has freed all of it. Threads of its own, one for up to 127 processes,
/// sleep on the lock words of their pages (futex_waitv, Linux 5.16) and post to the loop; nothing
/// is polled. A hint: a process that ends before it has taken its page is not seen, so the pidfd
/// stays the truth, and only it says that memory is free again. Belongs to one event loop.
class DeathWatch {
    struct Shard;
    struct Item;

public:
    /// Watches one page for as long as it lives; its callback does not come after that.
    class [[nodiscard]] Entry {
    public:
        Entry() = default;
        Entry(Entry&&) noexcept = default;
        Entry& operator=(Entry&& other) noexcept;
        Entry(const Entry&) = delete;
        Entry& operator=(const Entry&) = delete;
        ~Entry() { reset(); }
        void reset();
        /// How long after the kernel's sign the callback came; zero before.
        [[nodiscard]] Duration lag() const;

    private:
        friend class DeathWatch;
        explicit Entry(std::shared_ptr<Item> item) : item_(std::move(item)) {}
        std::shared_ptr<Item> item_;
    };

    explicit DeathWatch(boost::asio::any_io_executor executor);
    DeathWatch(const DeathWatch&) = delete;
    DeathWatch& operator=(const DeathWatch&) = delete;
    /// Ends the threads. Entries may outlive it.
    ~DeathWatch();

    /// Calls `on_dying` from the loop, once, when the process that holds `page` begins to die; also
    /// when it did so before. Errc::unsupported when the kernel cannot do this, Errc::resources
    /// when no thread can be started.
    [[nodiscard]] Result<Entry>
    watch(std::shared_ptr<const PulsePage> page, std::function<void()> on_dying);

private:
    [[nodiscard]] static Result<void> start(Shard& shard);

    boost::asio::any_io_executor executor_;
    std::vector<std::shared_ptr<Shard>> shards_;
};

} // namespace rbee::process
