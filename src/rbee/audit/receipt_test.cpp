#include "rbee/audit/events.hpp"
#include "rbee/audit/receipt.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <gtest/gtest.h>

#include <optional>
#include <utility>

#include "support/memory_audit.hpp"

namespace rbee::audit {
namespace {

namespace asio = boost::asio;

asio::awaitable<void> wait_for(Receipt receipt, std::optional<Result<void>>* outcome) {
    *outcome = co_await receipt.wait();
}

class ReceiptTest : public testing::Test {
protected:
    Receipt submit(Logger& logger, Event event) {
        return Receipt::submit(logger, std::move(event), loop_.get_executor());
    }
    /// Runs what can go on now.
    void turn() {
        loop_.restart();
        loop_.poll();
    }
    void wait(Receipt receipt) {
        asio::co_spawn(loop_, wait_for(std::move(receipt), &outcome_), asio::detached);
        turn();
    }

    asio::io_context loop_{1};
    std::optional<Result<void>> outcome_;
};

Event control() {
    return make_event(AuthSuccess{.path = "/change", .kind = EventClass::control});
}
Event inference() {
    return make_event(InferenceStart{.model_ref = "m", .endpoint = "/v1/chat/completions"});
}

TEST_F(ReceiptTest, OneOfNothingIsGoodAtOnce) {
    wait(Receipt());
    EXPECT_TRUE(outcome_ && outcome_->has_value());
}

TEST_F(ReceiptTest, TheDiskWorksWhileTheRequestDoes) {
    test::MemoryAudit logger(Mode::group);
    logger.held = true;
    Receipt receipt = submit(logger, inference());
    EXPECT_EQ(logger.events.size(), 1U) << "submitted before anybody waits";
    wait(std::move(receipt));
    EXPECT_FALSE(outcome_) << "not durable yet";
    logger.answer();
    turn();
    EXPECT_TRUE(outcome_ && outcome_->has_value());
}

TEST_F(ReceiptTest, OneThatWasDecidedBeforeItIsAskedForDoesNotWait) {
    test::MemoryAudit logger(Mode::strict);
    Receipt receipt = submit(logger, inference());
    turn();
    wait(std::move(receipt));
    EXPECT_TRUE(outcome_ && outcome_->has_value());
}

TEST_F(ReceiptTest, WithoutARecordControlIsRefusedInEveryMode) {
    for (const Mode mode : {Mode::async, Mode::group, Mode::strict}) {
        test::MemoryAudit logger(mode);
        logger.broken = true;
        outcome_.reset();
        wait(submit(logger, control()));
        ASSERT_TRUE(outcome_);
        ASSERT_FALSE(outcome_->has_value());
        EXPECT_EQ(outcome_->error().wire_code, "AUDIT_UNAVAILABLE");
    }
}

TEST_F(ReceiptTest, WithoutARecordInferenceGoesOnUnlessTheSettingsSayOtherwise) {
    const auto goes_on = [this](Mode mode, bool closed) {
        test::MemoryAudit logger(mode, closed);
        logger.broken = true;
        outcome_.reset();
        wait(submit(logger, inference()));
        return outcome_ && outcome_->has_value();
    };
    EXPECT_TRUE(goes_on(Mode::async, false));
    EXPECT_TRUE(goes_on(Mode::group, false));
    EXPECT_FALSE(goes_on(Mode::strict, false));
    EXPECT_FALSE(goes_on(Mode::group, true));
}

TEST_F(ReceiptTest, MayBeDroppedBeforeTheOutcome) {
    test::MemoryAudit logger(Mode::group);
    logger.held = true;
    {
        const Receipt dropped = submit(logger, control());
    }
    logger.answer();
    turn();
    EXPECT_EQ(logger.events.size(), 1U);
}

} // namespace
} // namespace rbee::audit
