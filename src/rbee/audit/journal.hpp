#pragma once

#include "rbee/audit/chain.hpp"
#include "rbee/audit/event.hpp"
#include "rbee/audit/folder.hpp"
#include "rbee/audit/layout.hpp"
#include "rbee/audit/own_events.hpp"
#include "rbee/audit/recovery.hpp"
#include "rbee/base/clock.hpp"
#include "rbee/base/result.hpp"

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

namespace rbee::audit {

/// Something that an operator should hear of, for the program's log.
struct Notice {
    enum class Level : std::uint8_t { info, warning, error };
    Level level = Level::info;
    std::string event; ///< Such as "audit_disk_full".
    std::string text;
};
/// Called on the thread that writes.
using Observer = std::function<void(const Notice&)>;

/// Sizes and ages of one service's log.
struct JournalOptions {
    std::string service; ///< queen-rbee, rbee-hive or llm-worker-rbee.
    std::string mode;    ///< For the record of the start.
    std::uint64_t segment_bytes_max = 10'000'000;
    /// Warns at 95 %, complains and rotates at 99 % of this; never deletes for it. 0: no bound.
    std::uint64_t folder_bytes_max = 100'000'000;
    std::uint64_t ballast_bytes = 1U << 20U;
    /// Below this much free disk an error is told; a warning at 10 %, an error at 5 % of the disk.
    std::uint64_t free_bytes_low = 10U << 20U;
    /// Sealed segments are deleted after this many days; 0: never.
    std::uint32_t retention_days = 2555;
};

/// The files of one service's log. Everything added is kept in memory until it is durable, so that
/// a failed sync costs nothing but a new segment. Not thread-safe; blocks.
class Journal {
public:
    /// Recovers what is there and makes the record of the start durable. Errors of recover();
    /// Errc::io when nothing can be written.
    [[nodiscard]] static Result<std::unique_ptr<Journal>>
    open(Folder& folder, JournalOptions options, WallTime now, Observer observer);

    /// Once before a batch: a new segment when the day or the size asks for one; deletes what is
    /// too old. Only with nothing pending.
    void prepare(WallTime now);
    /// Takes a record. Its place in the chain is certain once commit() succeeds.
    void add(const Event& event, WallTime at);
    /// Hands what was added to the kernel: it survives the death of the program.
    [[nodiscard]] Io<void> write(WallTime now);
    /// Makes all that was added durable. When that fails, for good, all of it is forgotten and the
    /// chain is as after the last success.
    [[nodiscard]] Io<void> commit(WallTime now);
    /// Looks at the space, at most about once a second; adds records about it.
    void tend(WallTime now);
    /// Keeps the number of events that are lost and in no gap record yet where even a full disk has
    /// room for it: the next start declares them.
    void note_losses(const Losses& losses);
    /// Marks the log as ended in order. Nothing may be pending.
    void close();

    [[nodiscard]] std::size_t pending_bytes() const { return pending_.size(); }
    /// The disk was full and the reserve is in use: record only what matters most.
    [[nodiscard]] bool full() const { return full_; }
    [[nodiscard]] std::uint64_t seq() const { return chain_.seq(); }
    [[nodiscard]] const ChainPoint& durable() const { return durable_; }
    [[nodiscard]] std::uint64_t syncs() const { return syncs_; }

private:
    Journal(Folder& folder, JournalOptions options, Recovered recovered, Observer observer);
    [[nodiscard]] Io<void> begin(const Recovered& recovered, WallTime now);
    void add_start(const Recovered& recovered, WallTime now);
    void take_ballast();
    void archive(SegmentName name, WallTime now);
    [[nodiscard]] Io<void> new_segment(WallTime now);
    void rotate(std::string_view reason, WallTime now);
    void prune(WallTime now);
    [[nodiscard]] Io<void> hand_over();
    [[nodiscard]] Io<void> flush();
    [[nodiscard]] Io<void> repair(WallTime now);
    [[nodiscard]] Io<void> remedy(std::errc error, WallTime now);
    void mark_durable();
    void write_head(bool clean);
    void check_folder_size(WallTime now);
    void check_free_space(WallTime now);
    void tell(Notice::Level level, std::string event, std::string text) const;

    Folder& folder_;
    JournalOptions options_;
    Observer observer_;
    Chain chain_;
    ChainPoint durable_;
    SegmentName name_;
    UniqueFd segment_;
    UniqueFd head_;
    std::vector<SegmentName> older_;
    std::string pending_;                 ///< Lines behind the last durable point.
    std::array<std::uint64_t, 3> lost_{}; ///< As Head::lost.
    std::size_t written_ = 0;             ///< Of them, bytes that the kernel has.
    std::uint64_t synced_bytes_ = 0;      ///< Of the segment.
    std::uint64_t folder_bytes_ = 0;      ///< Of all segments, what is pending left out.
    std::uint64_t syncs_ = 0;
    bool damaged_ = false; ///< The segment may hold bytes behind synced_bytes_.
    bool move_on_ = false; ///< It must not be used again.
    bool ballast_ = false;
    bool full_ = false;
    int folder_level_ = 0; ///< 0 good, 1 warned, 2 complained.
    int free_level_ = 0;
};

} // namespace rbee::audit
