#include "rbee/audit/events.hpp"
#include "rbee/audit/log_fixture_test.hpp"
#include "rbee/audit/writer.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <future>
#include <string>
#include <thread>
#include <vector>

namespace rbee::audit {
namespace {

using ::testing::Each;
using ::testing::HasSubstr;
using Audit = testing::LogTest;

std::string joined(const std::vector<std::string>& lines) {
    std::string out;
    for (const std::string& line : lines) {
        out += line + "\n";
    }
    return out;
}

TEST_F(Audit, every_mode_keeps_what_it_acknowledged) {
    for (const Mode mode : {Mode::async, Mode::group, Mode::strict}) {
        const std::size_t before = lines().size();
        const auto log = start(options(mode));
        for (int i = 0; i < 50; ++i) {
            ASSERT_TRUE(write(*log, event(i)));
        }
        EXPECT_EQ(lines().size(), before + 51) << to_string(mode); // with nobody's help
    }
    EXPECT_EQ(check().verdict, Verdict::ok);
}

TEST_F(Audit, many_records_share_a_sync) {
    const auto log = start();
    faults_->hold("sync");
    std::vector<std::future<Result<void>>> outcomes;
    for (int i = 0; i < 1000; ++i) {
        auto promise = std::make_shared<std::promise<Result<void>>>();
        outcomes.push_back(promise->get_future());
        log->submit(event(i), [promise](Result<void> result) { promise->set_value(result); });
    }
    faults_->release();
    for (auto& outcome : outcomes) {
        ASSERT_TRUE(outcome.get());
    }
    EXPECT_LT(log->stats().syncs, 20U);
    EXPECT_EQ(log->stats().recorded, 1000U);
}

TEST_F(Audit, a_failed_sync_costs_a_new_segment_and_no_record) {
    const auto log = start();
    ASSERT_TRUE(write(*log, event(1)));
    bool once = true;
    faults_->fail = [&](const std::string& operation) -> std::optional<std::errc> {
        return operation == "sync" && std::exchange(once, false)
                   ? std::optional(std::errc::io_error)
                   : std::nullopt;
    };
    ASSERT_TRUE(write(*log, event(2)));
    ASSERT_TRUE(write(*log, event(3)));
    log->stop("test");
    EXPECT_EQ(list_log(folder())->segments.size(), 2U);
    EXPECT_EQ(check().verdict, Verdict::ok);
    EXPECT_THAT(joined(lines()), HasSubstr("audit.storage_failed"));
    EXPECT_EQ(log->stats().lost, 0U);
    EXPECT_TRUE(noticed("audit_storage_failed"));
}

TEST_F(Audit, a_disk_that_stays_broken_is_told_counted_and_declared) {
    const auto log = start();
    faults_->fail = [](const std::string& operation) -> std::optional<std::errc> {
        return operation == "sync" ? std::optional(std::errc::io_error) : std::nullopt;
    };
    for (int i = 0; i < 3; ++i) {
        const auto outcome = write(*log, event(i, EventClass::control));
        ASSERT_FALSE(outcome);
        EXPECT_EQ(outcome.error().wire_code, "AUDIT_UNAVAILABLE");
    }
    EXPECT_TRUE(log->stats().failing);
    faults_->fail = {};
    ASSERT_TRUE(write(*log, event(9)));
    log->stop("test");
    const Report report = check();
    EXPECT_EQ(report.verdict, Verdict::gap);
    EXPECT_EQ(report.gap_events, 3U);
    EXPECT_EQ(log->stats().lost, 3U);
}

TEST_F(Audit, losses_at_the_end_of_a_run_are_declared_by_the_next) {
    const auto broken = [](const std::string& operation) -> std::optional<std::errc> {
        return operation == "sync" ? std::optional(std::errc::io_error) : std::nullopt;
    };
    {
        const auto log = start();
        faults_->fail = broken;
        ASSERT_FALSE(write(*log, event(1, EventClass::inference)));
        log->stop("test");
    }
    faults_->fail = {};
    EXPECT_EQ(check().verdict, Verdict::gap); // verify sees it before any restart
    EXPECT_EQ(check().gap_events, 2U);        // the stop is lost as well
    start()->stop("test");
    EXPECT_EQ(check().gap_events, 2U);
    EXPECT_THAT(
        joined(lines()),
        HasSubstr("\"count\":2,\"control\":1,\"security\":0,"
                  "\"inference\":1")
    );
    start()->stop("test");
    EXPECT_EQ(check().gap_events, 2U);
}

TEST_F(Audit, on_a_full_disk_the_reserve_is_for_what_matters) {
    const auto log = start();
    ASSERT_TRUE(std::filesystem::exists(folder() + "/ballast"));
    bool full = true;
    faults_->space = Folder::Space{0, 1'000'000};
    faults_->fail = [&](const std::string& operation) -> std::optional<std::errc> {
        return operation == "write" && full && std::filesystem::exists(folder() + "/ballast")
                   ? std::optional(std::errc::no_space_on_device)
                   : std::nullopt;
    };
    ASSERT_TRUE(write(*log, event(1, EventClass::control)));
    EXPECT_FALSE(std::filesystem::exists(folder() + "/ballast"));
    EXPECT_TRUE(log->stats().full);
    ASSERT_TRUE(write(*log, event(2, EventClass::security)));
    const auto outcome = write(*log, event(3, EventClass::inference));
    ASSERT_FALSE(outcome);
    EXPECT_THAT(outcome.error().what, HasSubstr("no space"));
    // Space again: the reserve comes back, and the gap is told.
    full = false;
    faults_->space.reset();
    clock_->advance(std::chrono::seconds(5));
    ASSERT_TRUE(write(*log, event(4, EventClass::control)));
    ASSERT_TRUE(write(*log, event(5, EventClass::inference)));
    EXPECT_TRUE(std::filesystem::exists(folder() + "/ballast"));
    log->stop("test");
    EXPECT_EQ(check().verdict, Verdict::gap);
    EXPECT_EQ(check().gap_events, 1U);
    EXPECT_THAT(joined(lines()), HasSubstr("audit.disk_full"));
}

TEST_F(Audit, a_hung_disk_answers_within_the_limit_and_recovers) {
    WriterOptions quick = options();
    quick.stuck_after = std::chrono::milliseconds(50);
    const auto log = start(quick);
    faults_->hold("sync");
    const auto begin = std::chrono::steady_clock::now();
    const auto outcome = write(*log, event(1, EventClass::control));
    EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(5));
    ASSERT_FALSE(outcome);
    EXPECT_EQ(outcome.error().wire_code, "AUDIT_UNAVAILABLE");
    ASSERT_FALSE(write(*log, event(2, EventClass::control))); // at once now
    EXPECT_TRUE(log->stats().stuck);
    faults_->release();
    while (log->stats().stuck) {
        std::this_thread::yield();
    }
    ASSERT_TRUE(write(*log, event(3)));
    log->stop("test");
    EXPECT_EQ(check().verdict, Verdict::gap);
    EXPECT_EQ(check().gap_events, 1U); // the second; the first became durable after all
}

TEST_F(Audit, stop_does_not_wait_for_a_dead_disk) {
    WriterOptions quick = options();
    quick.stuck_after = std::chrono::milliseconds(20);
    quick.stop_limit = std::chrono::milliseconds(100);
    auto log = start(quick);
    faults_->hold("sync");
    ASSERT_FALSE(write(*log, event(1)));
    log->stop("test");
    log.reset();
    faults_->release();
    // The thread ends by itself and gives the folder back.
    while (has_writer(folder())) {
        std::this_thread::yield();
    }
    EXPECT_NE(check().verdict, Verdict::tampered);
}

TEST_F(Audit, a_full_queue_refuses_and_counts) {
    WriterOptions tiny = options();
    tiny.queue_records_max = 4;
    const auto log = start(tiny);
    faults_->hold("write");
    std::vector<std::future<Result<void>>> outcomes;
    for (int i = 0; i < 100; ++i) {
        auto promise = std::make_shared<std::promise<Result<void>>>();
        outcomes.push_back(promise->get_future());
        log->submit(event(i), [promise](Result<void> result) { promise->set_value(result); });
    }
    faults_->release();
    std::size_t refused = 0;
    for (auto& outcome : outcomes) {
        refused += outcome.get() ? 0U : 1U;
    }
    EXPECT_GT(refused, 50U);
    log->stop("test");
    EXPECT_EQ(check().verdict, Verdict::gap);
    EXPECT_EQ(check().gap_events, refused);
}

TEST_F(Audit, a_flood_of_one_source_is_one_record_with_a_count) {
    const auto log = start();
    for (int i = 0; i < 5000; ++i) {
        log->record(make_event(AuthFailure{.reason = "unknown token", .ip = "10.0.0.9"}));
    }
    ASSERT_TRUE(write(*log, make_event(AuthFailure{.reason = "other", .ip = "10.0.0.8"})));
    log->stop("test");
    EXPECT_EQ(log->stats().suppressed, 4900U);
    const std::string all = joined(lines());
    EXPECT_THAT(
        all,
        HasSubstr("\"suppressed_type\":\"auth.failure\",\"ip\":\"10.0.0.9\","
                  "\"suppressed\":4900")
    );
    EXPECT_LT(lines().size(), 110U);
    EXPECT_EQ(check().verdict, Verdict::ok);
}

TEST_F(Audit, a_second_writer_is_refused) {
    const auto log = start();
    const auto second = open_folder(folder());
    ASSERT_FALSE(second);
    EXPECT_EQ(second.error().code, Errc::conflict);
    EXPECT_TRUE(has_writer(folder()));
    const auto mode = std::filesystem::status(folder()).permissions();
    EXPECT_EQ(mode, std::filesystem::perms::owner_all);
}

TEST_F(Audit, an_unfinished_end_is_set_aside_and_told) {
    start()->stop("test");
    const auto listing = list_log(folder());
    std::ofstream(folder() + "/" + listing->segments.front().file(), std::ios::app)
        << "{\"id\":\"audit-queen-rbee-0000000000000003\",\"timest";
    EXPECT_EQ(check().verdict, Verdict::torn);
    start()->stop("test");
    EXPECT_EQ(check().verdict, Verdict::ok);
    EXPECT_THAT(joined(lines()), HasSubstr("\"torn_file\":\"0000000000000003.torn-"));
    EXPECT_TRUE(std::filesystem::exists(folder() + "/0000000000000003.torn-20260101T000000Z"));
    EXPECT_TRUE(noticed("audit_torn_tail"));
}

TEST_F(Audit, a_bad_record_that_was_durable_is_reported_and_not_repaired) {
    start()->stop("test");
    const std::string file = folder() + "/" + list_log(folder())->segments.front().file();
    const std::string before = joined(lines());
    {
        std::fstream out(file, std::ios::in | std::ios::out);
        out.seekp(60);
        out.put('#');
    }
    const std::string changed = joined(lines());
    start()->stop("test");
    const auto segments = list_log(folder())->segments;
    ASSERT_EQ(segments.size(), 2U);
    EXPECT_THAT(joined(lines()), ::testing::StartsWith(changed));
    EXPECT_THAT(joined(lines()), HasSubstr("audit.chain_break"));
    EXPECT_TRUE(noticed("audit_chain_break"));
    const Report report = check();
    EXPECT_EQ(report.verdict, Verdict::tampered);
    EXPECT_EQ(report.bad->fault.id, record_id("queen-rbee", 1));
}

TEST_F(Audit, old_segments_are_deleted_and_the_log_says_so) {
    WriterOptions short_lived = options();
    short_lived.journal.retention_days = 3;
    {
        const auto log = start(short_lived);
        for (int day = 0; day < 10; ++day) {
            ASSERT_TRUE(write(*log, event(day)));
            clock_->advance(std::chrono::hours(24));
        }
    }
    EXPECT_LT(list_log(folder())->segments.size(), 6U);
    const Report report = check();
    EXPECT_EQ(report.verdict, Verdict::ok) << (report.bad ? report.bad->fault.reason : "");
    EXPECT_GT(report.pruned_to, 5U);
    // The same without the records that declare it is not the same.
    const auto segments = list_log(folder())->segments;
    std::filesystem::remove(folder() + "/" + segments.front().file());
    EXPECT_EQ(check().verdict, Verdict::tampered);
}

} // namespace
} // namespace rbee::audit
