#include "rbee/audit/chain.hpp"
#include "rbee/audit/events.hpp"
#include "rbee/audit/layout.hpp"
#include "rbee/audit/log_fixture_test.hpp"

#include <boost/json/parse.hpp>
#include <boost/json/value.hpp>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <string>
#include <vector>

namespace rbee::audit {
namespace {

namespace json = boost::json;
using testing::LogTest;

using Scenario330 = LogTest;

std::string text(const json::object& record, std::string_view field) {
    return std::string(record.at(field).as_string());
}

TEST_F(Scenario330, AUDIT_003_ten_entries_form_a_chain_from_the_zero_hash) {
    {
        const auto log = start();
        for (int i = 0; i < 9; ++i) { // the start is the tenth
            ASSERT_TRUE(write(*log, event(i)));
        }
    }
    const auto stored = lines();
    ASSERT_EQ(stored.size(), 11U); // and the stop
    std::string previous(64, '0');
    for (std::size_t i = 0; i < stored.size(); ++i) {
        const json::object record = json::parse(stored[i]).as_object();
        EXPECT_EQ(text(record, "id"), record_id("queen-rbee", i + 1));
        EXPECT_EQ(text(record, "previous_hash"), previous);
        const auto tail = stored[i].find(",\"entry_hash\"");
        previous = to_hex(sha256(stored[i].substr(0, tail)));
        EXPECT_EQ(text(record, "entry_hash"), previous);
    }
    EXPECT_EQ(check().verdict, Verdict::ok);
}

TEST_F(Scenario330, AUDIT_004_an_edited_entry_is_named_and_later_ones_are_flagged) {
    {
        const auto log = start();
        for (int i = 0; i < 3; ++i) {
            ASSERT_TRUE(write(*log, event(i)));
        }
    }
    auto stored = lines();
    ASSERT_EQ(stored.size(), 5U);
    stored[2].replace(stored[2].find("\"n\":1"), 5, "\"n\":7");
    const std::string file = folder() + "/" + list_log(folder())->segments.front().file();
    {
        std::ofstream out(file, std::ios::trunc);
        for (const std::string& line : stored) {
            out << line << '\n';
        }
    }
    const Report report = check();
    EXPECT_EQ(report.verdict, Verdict::tampered);
    ASSERT_TRUE(report.bad);
    EXPECT_EQ(report.bad->fault.id, record_id("queen-rbee", 3));
    EXPECT_EQ(report.bad->line, 3U);
    EXPECT_EQ(report.records, 2U);
    EXPECT_EQ(report.unverified, 2U);
}

TEST_F(Scenario330, AUDIT_005_an_entry_has_all_its_parts) {
    {
        const auto log = start();
        ASSERT_TRUE(write(
            *log,
            make_event(AuthSuccess{
                .actor = {.user_id = "token:a1b2c3", .ip = "10.0.0.1"},
                .method = "GET",
                .path = "/v1/models",
                .service_id = "queen-rbee",
                .correlation_id = "c-1",
            })
        ));
    }
    const json::object record = json::parse(lines().at(1)).as_object();
    EXPECT_EQ(record.at("timestamp"), "2026-01-01T00:00:00.000Z");
    EXPECT_EQ(record.at("service_id"), "queen-rbee");
    EXPECT_EQ(record.at("event_type"), "auth.success");
    EXPECT_EQ(record.at("actor"), "token:a1b2c3");
    EXPECT_EQ(record.at("correlation_id"), "c-1");
    EXPECT_EQ(record.at("details").at("path"), "/v1/models");
    EXPECT_EQ(record.at("previous_hash").as_string().size(), 64U);
    EXPECT_EQ(record.at("entry_hash").as_string().size(), 64U);
}

TEST_F(Scenario330, AUDIT_006_a_full_file_is_sealed_and_the_chain_goes_on) {
    WriterOptions small = options();
    small.journal.segment_bytes_max = 2000;
    {
        const auto log = start(small);
        for (int i = 0; i < 30; ++i) {
            ASSERT_TRUE(write(*log, event(i)));
        }
    }
    const auto segments = list_log(folder())->segments;
    ASSERT_GT(segments.size(), 3U);
    EXPECT_EQ(segments.front().sealed, "20260101T000000Z");
    EXPECT_EQ(segments.back().sealed, "");
    const auto mode = std::filesystem::status(folder() + "/" + segments.front().file());
    EXPECT_EQ(mode.permissions(), std::filesystem::perms::owner_read);
    EXPECT_EQ(check().verdict, Verdict::ok);
    EXPECT_EQ(check().records, lines().size());
}

TEST_F(Scenario330, AUDIT_006_a_new_day_starts_a_new_file) {
    {
        const auto log = start();
        ASSERT_TRUE(write(*log, event(1)));
        clock_->advance(std::chrono::hours(25));
        ASSERT_TRUE(write(*log, event(2)));
    }
    const auto segments = list_log(folder())->segments;
    ASSERT_EQ(segments.size(), 2U);
    EXPECT_EQ(segments[0].day, "2026-01-01");
    EXPECT_EQ(segments[1].day, "2026-01-02");
    EXPECT_EQ(check().verdict, Verdict::ok);
}

TEST_F(Scenario330, AUDIT_007_a_full_folder_warns_then_complains_and_rotates) {
    WriterOptions small = options();
    small.journal.folder_bytes_max = 10'000;
    const auto log = start(small);
    std::vector<std::string> order;
    for (int i = 0; i < 40; ++i) {
        ASSERT_TRUE(write(*log, event(i)));
        clock_->advance(std::chrono::seconds(2));
    }
    EXPECT_TRUE(noticed("audit_folder_size"));
    EXPECT_EQ(std::ranges::count(notices_, "audit_folder_size"), 2);
    EXPECT_TRUE(noticed("audit_rotated"));
    log->stop("test");
    EXPECT_EQ(check().verdict, Verdict::ok); // and goes on
    EXPECT_EQ(log->stats().lost, 0U);
}

TEST_F(Scenario330, AUDIT_010_the_chain_goes_on_across_a_restart) {
    for (int run = 0; run < 3; ++run) {
        const auto log = start();
        ASSERT_TRUE(write(*log, event(run)));
    }
    EXPECT_EQ(list_log(folder())->segments.size(), 1U);
    const auto stored = lines();
    ASSERT_EQ(stored.size(), 9U);
    EXPECT_EQ(check().verdict, Verdict::ok);
    EXPECT_EQ(check().records, 9U);
    EXPECT_THAT(stored[3], ::testing::HasSubstr("\"clean\":true,\"recovered_seq\":3"));
}

TEST(AuditChain, a_line_that_moved_says_where_it_belongs) {
    Chain chain("queen-rbee", {});
    std::string text;
    const WallTime at(std::chrono::seconds(1));
    chain.append(text, R"("event_type":"a","actor":"b","correlation_id":null,"details":{})", at);
    const std::size_t second = text.size();
    chain.append(text, R"("event_type":"a","actor":"b","correlation_id":null,"details":{})", at);
    Chain reader("queen-rbee", {});
    const auto view = std::string_view(text).substr(second, text.size() - second - 1);
    const auto fault = reader.check(view);
    ASSERT_FALSE(fault);
    EXPECT_EQ(fault.error().id, record_id("queen-rbee", 2));
    EXPECT_EQ(fault.error().reason, "stands where audit-queen-rbee-0000000000000001 belongs");
    EXPECT_TRUE(reader.check(std::string_view(text).substr(0, second - 1)));
    EXPECT_TRUE(reader.check(view));
}

TEST(AuditChain, a_later_key_cannot_sign_earlier_records) {
    const std::string first(32, 'k');
    const auto chain_with = [](std::string_view key) {
        Chain chain("hive", {});
        chain.set_key(key);
        return chain;
    };
    const std::string body = R"("event_type":"a","actor":"b","correlation_id":null,"details":{})";
    Chain chain = chain_with(first);
    std::string text;
    chain.append(text, body, WallTime());
    ChainPoint stolen; // what is on the machine after the first record
    chain.save(stolen);
    EXPECT_NE(stolen.key.expose(), first);
    Chain forger = chain_with(stolen.key.expose());
    std::string forged;
    forger.append(forged, body, WallTime());
    forged.pop_back();
    EXPECT_FALSE(chain_with(first).check(forged));
    text.pop_back();
    EXPECT_TRUE(chain_with(first).check(text));
}

TEST(AuditLayout, a_head_reads_as_it_was_written_and_nothing_else_does) {
    Head head;
    head.service = "llm-worker-rbee";
    head.point = {812, sha256("x"), Secret::copy_of(std::string(32, '\x7f'))};
    head.segment = "0000000000000001-2026-01-01.audit";
    head.offset = 12345;
    head.clean = true;
    const Secret text = head.format();
    const auto read = Head::parse(text.expose());
    ASSERT_TRUE(read);
    EXPECT_EQ(read->service, head.service);
    EXPECT_EQ(read->point.seq, 812U);
    EXPECT_EQ(read->point.hash, head.point.hash);
    EXPECT_EQ(read->point.key.expose(), head.point.key.expose());
    EXPECT_EQ(read->segment, head.segment);
    EXPECT_EQ(read->offset, 12345U);
    EXPECT_TRUE(read->clean);
    for (std::size_t i = 0; i < 200; ++i) {
        std::string changed(text.expose());
        changed[i] = changed[i] == '0' ? '1' : '0';
        EXPECT_FALSE(Head::parse(changed)) << i;
    }
}

TEST(AuditLayout, only_names_of_segments_are_segments) {
    EXPECT_TRUE(SegmentName::parse("0000000000000001-2026-01-01.audit"));
    EXPECT_TRUE(SegmentName::parse("00000000000000ff-2026-01-01.20260102T000000Z.audit"));
    for (const char* name :
         {"head",
          "0000000000000000-2026-01-01.audit",
          "00000000000000FF-2026-01-01.audit",
          "0000000000000001-2026-01-01.audit.gz",
          "0000000000000001-2026-01-01.2026.audit",
          "0000000000000001.torn-20260102T000000Z"}) {
        EXPECT_FALSE(SegmentName::parse(name)) << name;
    }
}

} // namespace
} // namespace rbee::audit
