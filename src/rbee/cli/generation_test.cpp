#include "rbee/cli/chat.hpp"
#include "rbee/cli/fake_queen_test.hpp"
#include "rbee/cli/generation.hpp"

#include <gtest/gtest.h>

namespace rbee::cli {
namespace {

using namespace std::chrono_literals;
using Ending = GenerationResult::Ending;
using testing::chunk;
using testing::chunk_end;
using testing::FakeQueen;
using testing::Script;

constexpr auto chat_path = "/v1/chat/completions";

class Runner final : public Command {
public:
    Runner(Context& context, GenerationRequest request)
        : generation_(context, std::move(request), [this](std::string_view text) {
              shown += text;
          }) {}
    boost::asio::awaitable<Result<int>> run() override {
        result = co_await generation_.run();
        co_return 0;
    }
    GenerationResult result;
    std::string shown;

private:
    Generation generation_;
};

class GenerationTest : public ::testing::Test {
protected:
    GenerationTest() {
        request_.target = chat_path;
        request_.model = "tiny";
        request_.body = {{"model", "tiny"}};
        request_.busy_waits = {1ms, 2ms, 4ms};
    }

    GenerationResult run() {
        GlobalOptions flags;
        flags.queen = queen_.url();
        const Environment environment({{"HOME", "/nonexistent"}});
        Context context(
            flags, load_settings(flags, environment).value(), environment, captured_.console
        );
        Runner runner(context, request_);
        EXPECT_TRUE(context.run(runner));
        EXPECT_EQ(runner.shown, runner.result.text);
        return std::move(runner.result);
    }

    FakeQueen queen_;
    testing::CapturedConsole captured_{{.err_tty = true}};
    GenerationRequest request_;
};

const std::string busy_body =
    R"({"error":{"message":"all 1 slots are taken","code":"ALL_SLOTS_BUSY"}})";

TEST_F(GenerationTest, streams_an_answer) {
    queen_.on("POST", chat_path, {{.pieces = {chunk("Hello"), chunk(" bee"), chunk_end()}}});
    const auto result = run();
    EXPECT_EQ(result.ending, Ending::complete);
    EXPECT_EQ(result.text, "Hello bee");
    const auto seen = queen_.seen("POST", chat_path);
    ASSERT_EQ(seen.size(), 1U);
    EXPECT_EQ(seen[0].headers.find("X-Correlation-Id"), result.request_id);
    EXPECT_TRUE(queen_.seen("DELETE", "/").empty());
}

TEST_F(GenerationTest, sends_its_limit_in_both_forms) {
    request_.timeout_s = 2.5;
    queen_.on("POST", chat_path, {{.pieces = {chunk_end()}}});
    (void)run();
    const auto headers = queen_.seen("POST", chat_path).at(0).headers;
    EXPECT_EQ(headers.find("X-Request-Timeout-Ms"), "2500");
    EXPECT_TRUE(headers.find("X-Request-Deadline").value_or("").ends_with("Z"));
}

// EH-018a, EC6
TEST_F(GenerationTest, waits_three_times_while_busy_then_gives_up) {
    queen_.on("POST", chat_path, {{503, busy_body}});
    const auto result = run();
    EXPECT_EQ(result.ending, Ending::failed);
    EXPECT_EQ(result.error.wire_code, "ALL_SLOTS_BUSY");
    EXPECT_EQ(queen_.seen("POST", chat_path).size(), 4U);
    EXPECT_TRUE(captured_.err.contains("all 1 slots are taken")) << captured_.err;
    EXPECT_TRUE(captured_.err.contains("(3 of 3)"));
}

TEST_F(GenerationTest, goes_on_when_a_slot_is_free_again) {
    queen_.on("POST", chat_path, {{503, busy_body}, {.pieces = {chunk("ok"), chunk_end()}}});
    EXPECT_EQ(run().text, "ok");
}

TEST_F(GenerationTest, other_refusals_are_not_tried_again) {
    queen_.on("POST", chat_path, {{404, R"({"error":{"message":"no","code":"MODEL_NOT_FOUND"}})"}});
    const auto result = run();
    EXPECT_EQ(result.error.wire_code, "MODEL_NOT_FOUND");
    EXPECT_EQ(queen_.seen("POST", chat_path).size(), 1U);
}

// EH-013a, EH-003a, EC4
TEST_F(GenerationTest, a_cut_stream_is_no_answer_and_is_never_sent_twice) {
    for (const auto ending : {Script::Ending::cut, Script::Ending::clean}) {
        queen_.on("POST", chat_path, {{.pieces = {chunk("half")}, .ending = ending}});
        const auto before = queen_.seen("POST", chat_path).size();
        const auto result = run();
        EXPECT_EQ(result.ending, Ending::failed);
        EXPECT_EQ(result.text, "half");
        EXPECT_EQ(result.error.code, Errc::io) << result.error.what;
        EXPECT_EQ(queen_.seen("POST", chat_path).size(), before + 1);
    }
}

TEST_F(GenerationTest, an_error_event_ends_it_with_its_cause) {
    const std::string frame =
        testing::sse(R"({"error":{"message":"worker w died","code":"WORKER_FAILED"}})");
    queen_.on("POST", chat_path, {{.pieces = {chunk("half"), frame}}});
    const auto result = run();
    EXPECT_EQ(result.ending, Ending::failed);
    EXPECT_EQ(result.text, "half");
    EXPECT_EQ(result.error.what, "worker w died");
}

// EH-013b
TEST_F(GenerationTest, a_stall_is_noticed_and_cancelled_at_the_server) {
    request_.stall_limit = 200ms;
    queen_.on("POST", chat_path, {{.pieces = {chunk("half")}, .ending = Script::Ending::hang}});
    const auto result = run();
    EXPECT_EQ(result.ending, Ending::failed);
    EXPECT_EQ(result.error.wire_code, "STALLED");
    EXPECT_EQ(queen_.seen("DELETE", "/v1/inference/" + result.request_id).size(), 1U);
}

// Gap-G12a
TEST_F(GenerationTest, ctrl_c_cancels_at_the_server) {
    queen_.on(
        "POST", chat_path, {{.pieces = {chunk("half")}, .ending = Script::Ending::interrupt}}
    );
    const auto result = run();
    EXPECT_EQ(result.ending, Ending::interrupted);
    EXPECT_EQ(result.text, "half");
    EXPECT_EQ(queen_.seen("DELETE", "/v1/inference/" + result.request_id).size(), 1U);
}

// EH-016a
TEST_F(GenerationTest, shows_how_a_model_loads_and_when_it_is_stuck) {
    request_.loading_limit = 600ms;
    queen_.on("POST", chat_path, {{.pieces = {": wait\n\n"}, .ending = Script::Ending::hang}});
    queen_.on(
        "GET", "/v1/workers", R"({"workers":[{"id":"w1","model":"tiny","state":"loading"}]})"
    );
    const std::string stage =
        testing::sse(R"({"stage":"loading_to_vram","layers_loaded":28,"layers_total":32})");
    queen_.on("GET", "/v1/workers/w1/progress", {{.pieces = {stage}}});
    const auto result = run();
    EXPECT_EQ(result.error.wire_code, "LOADING_TIMEOUT") << result.error.what;
    EXPECT_TRUE(result.error.what.contains("28/32 layers")) << result.error.what;
    EXPECT_TRUE(captured_.err.contains("loading tiny"));
    EXPECT_TRUE(captured_.err.contains("28/32 layers"));
}

/// Lines given beforehand.
class ScriptedEditor final : public LineEditor {
public:
    explicit ScriptedEditor(std::vector<Line> lines) : lines_(std::move(lines)) {}
    Line read() override { return at_ < lines_.size() ? lines_[at_++] : Line{}; }

private:
    std::vector<Line> lines_;
    std::size_t at_ = 0;
};

TEST_F(GenerationTest, chat_sends_what_was_said_and_ctrl_c_ends_only_one_answer) {
    queen_.on("GET", "/v1/models", R"({"data":[{"id":"tiny","state":"ready"}]})");
    queen_.on(
        "POST",
        chat_path,
        {{.pieces = {chunk("one"), chunk_end()}},
         {.pieces = {chunk("half")}, .ending = Script::Ending::interrupt},
         {.pieces = {chunk("three"), chunk_end()}}}
    );
    GlobalOptions flags;
    flags.queen = queen_.url();
    const Environment environment({{"HOME", "/nonexistent"}});
    testing::CapturedConsole captured({.in_tty = true});
    Context context(
        flags, load_settings(flags, environment).value(), environment, captured.console
    );
    using Kind = LineEditor::Line::Kind;
    ScriptedEditor editor(
        {{Kind::text, "first"},
         {Kind::interrupted, ""},
         {Kind::text, "second"},
         {Kind::text, "/model"},
         {Kind::text, "third"},
         {Kind::end, ""}}
    );
    ChatOptions options;
    options.system = "be brief";
    EXPECT_EQ(Chat(context, options, editor).run().value(), 0);
    EXPECT_EQ(captured.out, "one\nhalf\nthree\n");
    const auto seen = queen_.seen("POST", chat_path);
    ASSERT_EQ(seen.size(), 3U);
    EXPECT_TRUE(seen[2].body.contains(
        R"("messages":[{"role":"system","content":"be brief"},{"role":"user","content":"first"},)"
        R"({"role":"assistant","content":"one"},{"role":"user","content":"second"},)"
        R"({"role":"assistant","content":"half"},{"role":"user","content":"third"}])"
    )) << seen[2].body;
}

} // namespace
} // namespace rbee::cli
