#include "rbee/process/death_watch.hpp"

#include <boost/asio/post.hpp>
#include <linux/futex.h>
#include <pthread.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdint>
#include <limits>
#include <mutex>
#include <system_error>
#include <thread>

namespace rbee::process {

namespace asio = boost::asio;

namespace {

constexpr std::size_t words_max = 128; // FUTEX_WAITV_MAX of the kernel; one of them wakes us

/// The words that one thread sleeps on.
class Words {
public:
    void add(std::uint32_t* address, std::uint32_t value, std::uint32_t flags) {
        words_.at(count_++) = {
            .val = value,
            .uaddr = reinterpret_cast<std::uint64_t>(address),
            .flags = FUTEX_32 | flags,
            .__reserved = 0
        };
    }
    /// Returns when one of them changes or has changed already, or for no reason.
    void wait() const { ::syscall(SYS_futex_waitv, words_.data(), count_, 0, nullptr, 0); }

private:
    std::array<futex_waitv, words_max> words_{};
    unsigned int count_ = 0;
};

bool kernel_can() {
    return ::syscall(SYS_futex_waitv, nullptr, 0, 0, nullptr, 0) == 0 || errno != ENOSYS;
}

} // namespace

/// One page under watch; its callback belongs to the loop.
struct DeathWatch::Item {
    std::shared_ptr<const PulsePage> page;
    std::function<void()> on_dying; ///< Empty once called or when nobody wants to know.
    std::weak_ptr<Shard> shard;
    Duration lag{}; ///< From the sign to the callback.
};

/// One thread and the pages that it watches.
struct DeathWatch::Shard : std::enable_shared_from_this<DeathWatch::Shard> {
    explicit Shard(asio::any_io_executor loop) : executor(std::move(loop)) {}

    /// False when it is full.
    bool add(const std::shared_ptr<Item>& item) {
        {
            const std::lock_guard lock(mutex);
            if (items.size() >= words_max - 1) {
                return false;
            }
            items.push_back(item);
        }
        call();
        return true;
    }

    void remove(const std::shared_ptr<Item>& item) {
        {
            const std::lock_guard lock(mutex);
            std::erase(items, item);
        }
        call();
    }

    void stop() {
        {
            const std::lock_guard lock(mutex);
            stopping = true;
        }
        call();
        thread.join();
    }

    /// Makes the thread look at its list again.
    void call() {
        wake.fetch_add(1, std::memory_order_release);
        ::syscall(SYS_futex, &wake, FUTEX_WAKE_PRIVATE, 1, nullptr, nullptr, 0);
    }

    void run() {
        ::pthread_setname_np(::pthread_self(), "death-watch");
        while (true) {
            const std::uint32_t seen = wake.load(std::memory_order_acquire);
            std::vector<std::shared_ptr<Item>> watched; // keeps their pages mapped meanwhile
            {
                const std::lock_guard lock(mutex);
                if (stopping) {
                    return;
                }
                watched = items;
            }
            Words words;
            words.add(reinterpret_cast<std::uint32_t*>(&wake), seen, FUTEX_PRIVATE_FLAG);
            bool any_died = false;
            for (const std::shared_ptr<Item>& item : watched) {
                const std::uint32_t word = item->page->lock_word();
                if (holder_died(word)) {
                    any_died = true;
                    tell(item);
                } else {
                    words.add(item->page->lock_address(), word, 0);
                }
            }
            if (!any_died) {
                words.wait();
            }
        }
    }

    void tell(const std::shared_ptr<Item>& item) {
        {
            const std::lock_guard lock(mutex);
            std::erase(items, item);
        }
        asio::post(executor, [item, seen = std::chrono::steady_clock::now()] {
            item->lag = std::chrono::steady_clock::now() - seen;
            if (const auto callback = std::exchange(item->on_dying, nullptr)) {
                callback();
            }
        });
    }

    asio::any_io_executor executor;
    std::mutex mutex;
    std::vector<std::shared_ptr<Item>> items;
    bool stopping = false;
    std::atomic<std::uint32_t> wake = 0;
    std::thread thread;
};

void DeathWatch::Entry::reset() {
    if (const auto item = std::exchange(item_, nullptr)) {
        item->on_dying = nullptr;
        if (const auto shard = item->shard.lock()) {
            shard->remove(item);
        }
    }
}

Duration DeathWatch::Entry::lag() const {
    return item_ ? item_->lag : Duration::zero();
}

DeathWatch::Entry& DeathWatch::Entry::operator=(Entry&& other) noexcept {
    if (this != &other) {
        reset();
        item_ = std::move(other.item_);
    }
    return *this;
}

DeathWatch::DeathWatch(asio::any_io_executor executor) : executor_(std::move(executor)) {}

DeathWatch::~DeathWatch() {
    for (const std::shared_ptr<Shard>& shard : shards_) {
        shard->stop();
    }
}

Result<DeathWatch::Entry>
DeathWatch::watch(std::shared_ptr<const PulsePage> page, std::function<void()> on_dying) {
    if (shards_.empty() && !kernel_can()) {
        return fail(Errc::unsupported, "this kernel has no futex_waitv (Linux 5.16)");
    }
    auto item = std::make_shared<Item>();
    item->page = std::move(page);
    item->on_dying = std::move(on_dying);
    for (const std::shared_ptr<Shard>& shard : shards_) {
        item->shard = shard;
        if (shard->add(item)) {
            return Entry(std::move(item));
        }
    }
    auto shard = std::make_shared<Shard>(executor_);
    if (const auto started = start(*shard); !started) {
        return error_of(started);
    }
    shards_.push_back(shard);
    item->shard = shard;
    shard->add(item);
    return Entry(std::move(item));
}

/// No signal of the process is handled on the new thread.
Result<void> DeathWatch::start(Shard& shard) {
    sigset_t all;
    sigset_t before;
    ::sigfillset(&all);
    ::pthread_sigmask(SIG_SETMASK, &all, &before);
    Result<void> started;
    try {
        shard.thread = std::thread([&shard] { shard.run(); });
    } catch (const std::system_error& error) {
        started = fail(Errc::resources, std::string("cannot start a thread: ") + error.what());
    }
    ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
    return started;
}

} // namespace rbee::process
