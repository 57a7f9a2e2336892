#pragma once

#include "rbee/audit/files.hpp"
#include "rbee/audit/folder.hpp"
#include "rbee/audit/verify.hpp"
#include "rbee/audit/writer.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <fstream>
#include <functional>
#include <future>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "support/fake_clock.hpp"
#include "support/temp_dir.hpp"

namespace rbee::audit::testing {

/// A real folder that fails when it is told to, and knows what a power cut would leave. Shared
/// between a test and the log that it is lent to.
class Faults {
public:
    /// Asked before each operation ("write", "sync", "create", …); an error makes it fail.
    std::function<std::optional<std::errc>(const std::string& operation)> fail;
    /// How many operations of each kind there were.
    std::map<std::string, int> calls;

    /// Operations named so wait until release().
    void hold(std::string operation) {
        const std::lock_guard lock(mutex_);
        held_ = std::move(operation);
    }
    void release() {
        const std::lock_guard lock(mutex_);
        held_.clear();
        changed_.notify_all();
    }
    std::optional<std::errc> meet(const std::string& operation) {
        std::unique_lock lock(mutex_);
        ++calls[operation];
        changed_.wait(lock, [&] { return held_ != operation; });
        return fail ? fail(operation) : std::nullopt;
    }
    /// What the disk says about its space, when it is not the truth.
    std::optional<Folder::Space> space;
    /// Bytes of each file that a sync has covered.
    std::map<std::string, std::uint64_t> durable;

private:
    std::mutex mutex_;
    std::condition_variable changed_;
    std::string held_;
};

class FaultyFolder final : public Folder {
public:
    FaultyFolder(std::unique_ptr<Folder> real, std::shared_ptr<Faults> faults)
        : real_(std::move(real)), faults_(std::move(faults)) {}

    Io<UniqueFd> create(const std::string& name) override {
        auto file = met("create", [&] { return real_->create(name); });
        if (file) {
            open_[file->get()] = {name, 0};
            faults_->durable[name] = 0;
        }
        return file;
    }
    Io<UniqueFd> open_append(const std::string& name) override {
        auto file = met("open", [&] { return real_->open_append(name); });
        if (file) {
            const auto files = real_->list();
            for (const File& entry : *files) {
                if (entry.name == name) {
                    open_[file->get()] = {name, entry.bytes};
                }
            }
        }
        return file;
    }
    Io<UniqueFd> open_update(const std::string& name) override {
        return met("open", [&] { return real_->open_update(name); });
    }
    Io<std::size_t> write(int fd, std::string_view data) override {
        const auto count = met("write", [&] { return real_->write(fd, data); });
        if (count) {
            open_[fd].second += *count;
        }
        return count;
    }
    Io<void> overwrite(int fd, std::string_view data) override {
        return met("overwrite", [&] { return real_->overwrite(fd, data); });
    }
    Io<void> sync(int fd) override {
        const auto done = met("sync", [&] { return real_->sync(fd); });
        if (done && open_.contains(fd)) {
            faults_->durable[open_[fd].first] = open_[fd].second;
        }
        return done;
    }
    Io<void> truncate(const std::string& name, std::uint64_t bytes) override {
        const auto done = met("truncate", [&] { return real_->truncate(name, bytes); });
        if (done) {
            faults_->durable[name] = bytes;
        }
        return done;
    }
    Io<void> rename(const std::string& from, const std::string& to) override {
        const auto done = met("rename", [&] { return real_->rename(from, to); });
        if (done) {
            faults_->durable[to] = faults_->durable[from];
            faults_->durable.erase(from);
        }
        return done;
    }
    Io<void> remove(const std::string& name) override {
        return met("remove", [&] { return real_->remove(name); });
    }
    Io<void> seal(const std::string& name) override {
        return met("seal", [&] { return real_->seal(name); });
    }
    Io<void> sync_names() override {
        return met("sync_names", [&] { return real_->sync_names(); });
    }
    Io<void> reserve(const std::string& name, std::uint64_t bytes) override {
        return met("reserve", [&] { return real_->reserve(name, bytes); });
    }
    Io<std::vector<File>> list() override { return real_->list(); }
    Io<std::string> read(const std::string& name) override { return real_->read(name); }
    Io<Space> space() override {
        return faults_->space ? Io<Space>(*faults_->space) : real_->space();
    }

private:
    template <typename Call>
    auto met(const std::string& operation, const Call& call) -> decltype(call()) {
        if (const auto error = faults_->meet(operation)) {
            return std::unexpected(*error);
        }
        return call();
    }

    std::unique_ptr<Folder> real_;
    std::shared_ptr<Faults> faults_;
    std::map<int, std::pair<std::string, std::uint64_t>> open_;
};

/// Lines of all segments in order.
inline std::vector<std::string> stored_lines(const std::string& folder) {
    std::vector<std::string> out;
    const auto listing = list_log(folder);
    for (const SegmentName& name : listing ? listing->segments : std::vector<SegmentName>()) {
        std::ifstream file(folder + "/" + name.file());
        for (std::string line; std::getline(file, line);) {
            out.push_back(line);
        }
    }
    return out;
}

/// A log in a new folder with an event to write.
class LogTest : public ::testing::Test {
protected:
    [[nodiscard]] std::string folder() const { return root_ / "queen-rbee"; }

    static WriterOptions options(Mode mode = Mode::group) {
        WriterOptions out;
        out.mode = mode;
        out.journal.service = "queen-rbee";
        out.journal.ballast_bytes = 4096;
        return out;
    }
    std::unique_ptr<Writer> start(WriterOptions settings = options()) {
        auto real = open_folder(folder());
        EXPECT_TRUE(real) << (real ? "" : real.error().what);
        auto writer = Writer::open(
            std::make_unique<FaultyFolder>(std::move(*real), faults_),
            std::move(settings),
            clock_,
            [this](const Notice& notice) {
                const std::lock_guard lock(notices_mutex_);
                notices_.push_back(notice.event);
            }
        );
        EXPECT_TRUE(writer) << (writer ? "" : writer.error().what);
        return writer ? std::move(*writer) : nullptr;
    }
    static Event event(int number, EventClass kind = EventClass::security) {
        EventBuilder out("test.event", kind);
        out.number("n", static_cast<std::uint64_t>(number));
        return std::move(out).build();
    }
    /// Submits and waits for the outcome.
    static Result<void> write(Logger& log, Event what) {
        auto promise = std::make_shared<std::promise<Result<void>>>();
        auto outcome = promise->get_future();
        log.submit(std::move(what), [promise](Result<void> result) {
            promise->set_value(std::move(result));
        });
        if (outcome.wait_for(std::chrono::seconds(20)) != std::future_status::ready) {
            return fail(Errc::internal, "no outcome");
        }
        return outcome.get();
    }
    [[nodiscard]] Report check() const {
        const auto report = verify({.folder = folder(), .key = {}, .witness = {}});
        EXPECT_TRUE(report) << (report ? "" : report.error().what);
        return report ? *report : Report{};
    }
    [[nodiscard]] std::vector<std::string> lines() const { return stored_lines(folder()); }
    [[nodiscard]] bool noticed(const std::string& what) {
        const std::lock_guard lock(notices_mutex_);
        return std::ranges::find(notices_, what) != notices_.end();
    }

    test::TempDir root_;
    std::shared_ptr<Faults> faults_ = std::make_shared<Faults>();
    std::shared_ptr<test::FakeClock> clock_ = std::make_shared<test::FakeClock>();
    std::mutex notices_mutex_;
    std::vector<std::string> notices_;
};

} // namespace rbee::audit::testing
