#include "rbee/audit/init.hpp"
#include "rbee/audit/log_fixture_test.hpp"
#include "rbee/audit/verify.hpp"

#include <gtest/gtest.h>

#include <filesystem>
#include <map>
#include <random>
#include <string>
#include <utility>

#include "support/log_mutation.hpp"

namespace rbee::audit {
namespace {

namespace fs = std::filesystem;

class AuditVerify : public testing::LogTest {
protected:
    void fill(int records) {
        WriterOptions small = options();
        small.journal.segment_bytes_max = 6000;
        const auto log = start(small);
        for (int i = 0; i < records; ++i) {
            ASSERT_TRUE(write(*log, event(i)));
        }
    }
    [[nodiscard]] Verdict verdict(VerifyOptions request) const {
        request.folder = folder();
        const auto report = verify(request);
        EXPECT_TRUE(report);
        return report->verdict;
    }
};

TEST_F(AuditVerify, no_mutation_goes_unnoticed_and_no_log_is_accused) {
    fill(40);
    ASSERT_EQ(check().verdict, Verdict::ok);
    ASSERT_GT(list_log(folder())->segments.size(), 2U);
    const test::MutationCount count = test::mutate_log(folder(), 1000, 1);
    EXPECT_GT(count.changed, 800U);
    EXPECT_EQ(count.unnoticed, 0U);
    EXPECT_EQ(count.accused, 0U);
    EXPECT_EQ(check().verdict, Verdict::ok);
}

TEST_F(AuditVerify, a_segment_that_is_gone_or_there_twice_is_noticed) {
    fill(40);
    const auto segments = list_log(folder())->segments;
    for (const SegmentName& name : segments) {
        const std::string file = folder() + "/" + name.file();
        fs::rename(file, root_ / "away");
        EXPECT_EQ(check().verdict, Verdict::tampered) << name.file();
        fs::rename(root_ / "away", file);
    }
    SegmentName twin = segments[1];
    twin.day = "2026-01-02";
    fs::copy_file(folder() + "/" + segments[1].file(), folder() + "/" + twin.file());
    EXPECT_EQ(check().verdict, Verdict::tampered);
}

TEST_F(AuditVerify, a_witness_finds_a_log_that_was_cut_and_rewritten_with_its_head) {
    fill(10);
    const Report whole = check();
    const Witness witness = whole.last;
    VerifyOptions request;
    request.witness = witness;
    EXPECT_EQ(verdict({.folder = {}, .key = {}, .witness = witness}), Verdict::ok);
    // Somebody with all rights and no key writes another history.
    fs::remove_all(folder());
    fill(12);
    EXPECT_EQ(check().verdict, Verdict::ok);
    clock_->advance(std::chrono::seconds(1));
    fs::remove_all(folder());
    fill(12);
    EXPECT_EQ(verdict({.folder = {}, .key = {}, .witness = witness}), Verdict::tampered);
    fs::remove_all(folder());
    fill(2);
    EXPECT_EQ(verdict({.folder = {}, .key = {}, .witness = witness}), Verdict::tampered);
    EXPECT_FALSE(Witness::parse("audit-queen-rbee-1:zz"));
    EXPECT_EQ(Witness::parse(whole.last_id + ":" + to_hex(witness.hash))->seq, witness.seq);
}

TEST_F(AuditVerify, macs_survive_restarts_and_show_a_history_written_without_the_key) {
    auto first = init_key(folder(), "queen-rbee", clock_->wall());
    ASSERT_TRUE(first) << first.error().what;
    const auto with_key = [&] {
        VerifyOptions request;
        request.key = FirstKey::parse(first->format().expose());
        return request;
    };
    fill(20);
    fill(20); // goes on
    EXPECT_EQ(verdict(with_key()), Verdict::ok);
    EXPECT_TRUE(check().macs_unchecked);
    VerifyOptions wrong = with_key();
    wrong.key->key = Secret::copy_of(std::string(32, 'w'));
    EXPECT_EQ(verdict(std::move(wrong)), Verdict::tampered);
    EXPECT_FALSE(init_key(folder(), "queen-rbee", clock_->wall())) << "it has a key";
    // A fresh chain with all hashes right, but another key.
    fs::remove_all(folder());
    ASSERT_TRUE(init_key(folder(), "queen-rbee", clock_->wall()));
    fill(20);
    EXPECT_EQ(check().verdict, Verdict::ok);
    EXPECT_EQ(verdict(with_key()), Verdict::tampered);
}

/// What a power cut may leave: of each file the durable part, and of the rest any part, the end of
/// it perhaps as zeros.
TEST_F(AuditVerify, what_was_acknowledged_survives_a_power_cut) {
    std::mt19937 random(2); // NOLINT(bugprone-random-generator-seed): the same cuts each time
    for (int round = 0; round < 20; ++round) {
        WriterOptions small = options();
        small.journal.segment_bytes_max = 2500;
        std::size_t acknowledged = 0;
        std::uint64_t seq = 0;
        std::map<std::string, std::uint64_t> durable;
        {
            const auto log = start(small);
            const auto records = random() % 30;
            for (std::size_t i = 0; i < records; ++i) {
                ASSERT_TRUE(write(*log, event(static_cast<int>(i))));
                ++acknowledged;
            }
            seq = check().last.seq;
            durable = faults_->durable;
            fs::copy_file(folder() + "/head", root_ / "head", fs::copy_options::overwrite_existing);
            log->record(event(-1)); // not waited for
            log->stop("power cut");
        }
        const auto segments = list_log(folder())->segments;
        const std::string name = segments.back().file();
        const std::string file = folder() + "/" + name;
        const auto size = fs::file_size(file);
        const std::uint64_t kept = durable.contains(name) ? durable[name] : size;
        if (size > kept) {
            const std::uint64_t cut = kept + random() % (size - kept + 1);
            fs::resize_file(file, cut);
            if (random() % 2 == 0) {
                fs::resize_file(file, size); // zeros
            }
            // The head of that moment: an older one would do as well.
            fs::copy_file(root_ / "head", folder() + "/head", fs::copy_options::overwrite_existing);
        }
        faults_ = std::make_shared<testing::Faults>();
        start()->stop("test");
        const Report after = check();
        EXPECT_EQ(after.verdict, Verdict::ok) << (after.bad ? after.bad->fault.reason : "");
        EXPECT_GT(after.last.seq, seq);
        EXPECT_GE(after.records, acknowledged);
    }
}

} // namespace
} // namespace rbee::audit
