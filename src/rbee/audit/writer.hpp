#pragma once

#include "rbee/audit/flood_fold.hpp"
#include "rbee/audit/folder.hpp"
#include "rbee/audit/journal.hpp"
#include "rbee/audit/logger.hpp"
#include "rbee/base/clock.hpp"
#include "rbee/base/result.hpp"

#include <chrono>
#include <cstddef>
#include <memory>
#include <string_view>

namespace rbee::audit {

/// How a Writer writes.
struct WriterOptions {
    Mode mode = Mode::group;
    /// Without it, requests go on in async and group when they cannot be recorded.
    bool inference_fails_closed = false;
    JournalOptions journal;
    FloodFold::Options flood;
    std::size_t queue_records_max = 8192;
    std::size_t queue_bytes_max = 10'000'000;
    /// In group: how long the first record of a batch waits for others.
    Duration window = std::chrono::milliseconds(1);
    /// In async: how long a record may be without a sync.
    Duration sync_interval = std::chrono::seconds(1);
    /// The disk does not answer when a batch takes longer.
    Duration stuck_after = std::chrono::seconds(2);
    Duration stop_limit = std::chrono::seconds(5);
};

/// The log of one service on this machine: a thread that writes, and one that watches it.
/// Thread-safe.
class Writer final : public Logger {
public:
    /// Takes a folder of open_folder(), recovers it and makes the record of the start durable.
    /// Errors of Journal::open(). The clock and the observer must live until the disk answers,
    /// which may be after stop(): hence shared.
    [[nodiscard]] static Result<std::unique_ptr<Writer>> open(
        std::unique_ptr<Folder> folder,
        WriterOptions options,
        std::shared_ptr<const Clock> clock,
        Observer observer
    );
    ~Writer() override;

    void submit(Event event, Done done) override;
    [[nodiscard]] Stats stats() const override;
    void stop(std::string_view reason) override;

private:
    struct Impl;
    explicit Writer(std::shared_ptr<Impl> impl);
    std::shared_ptr<Impl> impl_;
};

/// The log of `service` below `base_dir`, in the folder "{base_dir}/{service}". Errors of
/// open_folder() and Writer::open().
[[nodiscard]] Result<std::unique_ptr<Logger>> open_log(
    const std::string& base_dir,
    WriterOptions options,
    std::shared_ptr<const Clock> clock,
    Observer observer
);

} // namespace rbee::audit
