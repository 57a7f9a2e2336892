#include "rbee/api/json.hpp"
#include "rbee/cli/fake_queen_test.hpp"
#include "rbee/cli/json_view.hpp"
#include "rbee/cli/model_choice.hpp"
#include "rbee/cli/program.hpp"

#include <gtest/gtest.h>

#include <fstream>
#include <iterator>
#include <sstream>

namespace rbee::cli {
namespace {

using testing::chunk;
using testing::chunk_end;
using testing::FakeQueen;
using testing::Script;

struct Outcome {
    int code;
    std::string out;
    std::string err;
};

class ProgramTest : public ::testing::Test {
protected:
    Outcome run(const std::vector<std::string>& arguments, const std::string& input = "") {
        testing::CapturedConsole captured;
        std::istringstream stream(input);
        const Environment environment(
            {{"RBEE_HOME", folder_.path().string()},
             {"HOME", folder_.path().string()},
             {"TMPDIR", folder_.path().string()},
             {"RBEE_QUEEN_URL", url_},
             {"LLORCH_API_TOKEN", "secret-token"}}
        );
        const int code = run_program(arguments, environment, captured.console, stream);
        return {code, captured.out, captured.err};
    }

    FakeQueen queen_;
    std::string url_ = queen_.url();
    testing::TemporaryFolder folder_;
};

TEST_F(ProgramTest, infer_streams_to_out_and_says_the_rest_on_err) {
    queen_.on("GET", "/v1/models", R"({"data":[{"id":"tiny","state":"ready"}]})");
    queen_.on(
        "POST", "/v1/chat/completions", {{.pieces = {chunk("Hi"), chunk(" there"), chunk_end()}}}
    );
    const auto outcome = run({"infer", "--system", "be kind", "hello"});
    EXPECT_EQ(outcome.code, 0) << outcome.err;
    EXPECT_EQ(outcome.out, "Hi there\n");
    EXPECT_EQ(outcome.err, "");
    const auto seen = queen_.seen("POST", "/v1/chat/completions").at(0);
    EXPECT_EQ(seen.headers.find("Authorization"), "Bearer secret-token");
    EXPECT_TRUE(seen.body.contains(R"({"role":"user","content":"hello"})")) << seen.body;
    EXPECT_TRUE(seen.body.contains(R"("max_tokens":256)")) << seen.body;
}

TEST_F(ProgramTest, infer_reads_a_pipe_and_raw_uses_our_own_dialect) {
    queen_.on(
        "POST",
        "/v1/inference",
        {{.pieces =
              {testing::sse(R"({"type":"token","t":"x","i":0})"),
               testing::sse(R"({"type":"end","tokens_out":1,"stop_reason":"EOS"})")}}}
    );
    const auto outcome = run({"infer", "--raw", "--model", "tiny", "-"}, "once upon\n");
    EXPECT_EQ(outcome.code, 0) << outcome.err;
    EXPECT_EQ(outcome.out, "x\n");
    const auto body = queen_.seen("POST", "/v1/inference").at(0).body;
    EXPECT_TRUE(body.contains(R"("prompt":"once upon")")) << body;
    EXPECT_TRUE(body.contains(R"("max_tokens":20)")) << body;
}

// CLI-05
TEST_F(ProgramTest, infer_with_a_node_is_a_task) {
    queen_.on(
        "POST",
        "/v2/tasks",
        {{.pieces = {testing::sse(R"({"token":"x","index":0})"), testing::sse(R"({"done":true})")}}}
    );
    const auto outcome =
        run({"infer", "--node", "attic", "--model", "tiny", "--backend", "cpu", "--prompt", "p"});
    EXPECT_EQ(outcome.code, 0) << outcome.err;
    const auto body = queen_.seen("POST", "/v2/tasks").at(0).body;
    EXPECT_TRUE(body.contains(R"("node":"attic")") && body.contains(R"("backend":"cpu")")) << body;
}

TEST_F(ProgramTest, infer_json_prints_one_object) {
    queen_.on("POST", "/v1/chat/completions", {{.pieces = {chunk("Hi"), chunk_end("length")}}});
    const auto outcome = run({"infer", "--json", "-m", "tiny", "-q", "hello"});
    EXPECT_EQ(outcome.code, 0);
    EXPECT_EQ(outcome.err, "");
    const auto object = api::parse_object(outcome.out);
    ASSERT_TRUE(object) << outcome.out;
    EXPECT_EQ(text_of(*object, "text"), "Hi");
    EXPECT_EQ(text_of(*object, "finish_reason"), "length");
    EXPECT_EQ(number_of(*object_of(*object, "usage"), "total_tokens"), 5U);
}

// EH-013a, EH-003a
TEST_F(ProgramTest, infer_keeps_what_came_before_a_stream_broke) {
    queen_.on(
        "POST", "/v1/chat/completions", {{.pieces = {chunk("half")}, .ending = Script::Ending::cut}}
    );
    const auto outcome = run({"infer", "-m", "tiny", "hello"});
    EXPECT_EQ(outcome.code, 1);
    EXPECT_EQ(outcome.out, "half\n");
    EXPECT_TRUE(outcome.err.contains("1 / 256 tokens")) << outcome.err;
    const auto at = outcome.err.find(folder_.path().string());
    ASSERT_NE(at, std::string::npos) << outcome.err;
    std::ifstream file(outcome.err.substr(at, outcome.err.find('\n', at) - at));
    EXPECT_EQ(std::string(std::istreambuf_iterator<char>(file), {}), "half");
}

TEST_F(ProgramTest, ctrl_c_exits_with_130) {
    queen_.on(
        "POST",
        "/v1/chat/completions",
        {{.pieces = {chunk("half")}, .ending = Script::Ending::interrupt}}
    );
    const auto outcome = run({"infer", "-m", "tiny", "hello"});
    EXPECT_EQ(outcome.code, 130);
    EXPECT_EQ(outcome.out, "half\n");
    queen_.on(
        "GET", "/v1/workers/w1/logs", {{.pieces = {"line\n"}, .ending = Script::Ending::interrupt}}
    );
    const auto logs = run({"workers", "logs", "w1", "--follow"});
    EXPECT_EQ(logs.code, 130);
    EXPECT_EQ(logs.out, "line\n");
}

TEST_F(ProgramTest, errors_say_what_happened_and_what_to_do) {
    queen_.on(
        "GET",
        "/v1/workers",
        {{401, R"({"error":{"message":"Invalid API key","code":"INVALID_API_KEY"}})"}}
    );
    const auto refused = run({"workers", "list"});
    EXPECT_EQ(refused.code, 1);
    EXPECT_TRUE(
        refused.err.starts_with("rbee: Invalid API key. The token came from LLORCH_API_TOKEN")
    );
    EXPECT_FALSE(refused.err.contains("secret-token"));

    const auto as_json = run({"workers", "list", "--json"});
    EXPECT_EQ(as_json.code, 1);
    EXPECT_EQ(as_json.out, "");
    const auto object = api::parse_object(as_json.err);
    ASSERT_TRUE(object) << as_json.err;
    EXPECT_EQ(text_of(*object_of(*object, "error"), "code"), "INVALID_API_KEY");

    url_ = "http://127.0.0.1:1";
    const auto down = run({"status"});
    EXPECT_EQ(down.code, 1);
    EXPECT_TRUE(down.err.contains("rbee up")) << down.err;
    EXPECT_EQ(run({"down"}).code, 0);
    EXPECT_EQ(run({"infer", "-m", "tiny"}, "  \n").code, 1);
    EXPECT_EQ(run({"nonsense"}).code, 1);
}

// CLI-06, CLI-07
TEST_F(ProgramTest, lists_are_tables_or_json) {
    queen_.on("GET", "/v1/workers", R"({"workers":[
        {"id":"w1","node":"a","model":"tiny","state":"idle","slots_total":4,"slots_available":3},
        {"id":"w2","node":"b","model":"big","state":"loading","load_fraction":0.5}]})");
    const auto table = run({"workers", "list"});
    EXPECT_EQ(table.code, 0);
    EXPECT_TRUE(table.out.contains("1/4")) << table.out;
    EXPECT_TRUE(table.out.contains("50 %")) << table.out;
    const auto health = run({"workers", "health", "--node", "b"});
    EXPECT_FALSE(health.out.contains("w1")) << health.out;
    EXPECT_TRUE(health.out.contains("no")) << health.out;
    const auto as_json = api::parse_object(run({"workers", "list", "--json", "--node", "a"}).out);
    ASSERT_TRUE(as_json);
    EXPECT_EQ(list_of(*as_json, {"workers"}).size(), 1U);
}

TEST_F(ProgramTest, a_worker_that_came_back_or_will_tells_why) {
    queen_.on("GET", "/v1/workers", R"({"workers":[
        {"id":"w1","state":"idle","restart_count":2,"last_exit":"killed by signal 11"},
        {"id":"w2","state":"backoff","reason":"soon","last_exit":"exit code 3; restart 1 of 3"},
        {"id":"w3","state":"failed","reason":"no model","last_exit":"exit code 1"}]})");
    const auto table = run({"workers", "list"});
    for (const auto* text :
         {"restarted 2x; before: killed by signal 11", "exit code 3; restart 1 of 3", "no model"}) {
        EXPECT_TRUE(table.out.contains(text)) << table.out;
    }
    EXPECT_FALSE(table.out.contains("exit code 1\n")) << table.out;
}

TEST_F(ProgramTest, workers_postmortem_tells_how_it_died) {
    queen_.on("GET", "/v1/workers/w1/postmortem", R"({"worker_id":"w1","model":"tiny",
        "summary":"killed by signal 11 (SIGSEGV) after 3 min","cause":"segfault","state":"busy",
        "died_at":"2026-01-31T08:00:00.000Z","uptime_ms":180000,"requests":["r-1","r-2"],
        "usage":{"user_ms":1500,"system_ms":100,"peak_memory_bytes":1200000000},
        "log":"one\ntwo\nthree\u001b[31m\n",
        "earlier":[{"died_at":"2026-01-30T08:00:00.000Z","summary":"exit code 3"}]})");
    const auto told = run({"workers", "postmortem", "w1", "--log", "2"});
    EXPECT_EQ(told.code, 0) << told.err;
    for (const auto* text :
         {"killed by signal 11 (SIGSEGV) after 3 min",
          "segfault",
          "up for 3 min",
          "r-2",
          "1.2 GB of memory at most, 1.5 s of CPU",
          "2026-01-30T08:00:00.000Z  exit code 3",
          "\ntwo\nthree?[31m\n"}) {
        EXPECT_TRUE(told.out.contains(text)) << text << " in " << told.out;
    }
    EXPECT_FALSE(told.out.contains("\none\n")) << told.out;
    EXPECT_TRUE(api::parse_object(run({"workers", "postmortem", "w1", "--json"}).out));
    EXPECT_FALSE(run({"workers", "postmortem", "w1", "--log", "0"}).out.contains("three"));
    queen_.on(
        "GET",
        "/v1/workers/w1/postmortem",
        {{404, R"({"error":{"message":"this worker has not died","code":"POSTMORTEM_NOT_FOUND"}})"}}
    );
    const auto none = run({"workers", "postmortem", "w1"});
    EXPECT_EQ(none.code, 1);
    EXPECT_TRUE(none.err.contains("has not died. See 'rbee workers list'")) << none.err;
}

TEST_F(ProgramTest, status_shows_everything) {
    queen_.on(
        "GET", "/v1/status", R"({"version":"9.9","queue_depth":2,"queue_capacity":100,"in_flight":1,
        "hives":[{"name":"local","url":"http://127.0.0.1:9200","available":true,"workers":1}],
        "workers":[{"id":"w1","state":"idle"}],"models":[{"id":"tiny","state":"ready","size_bytes":2000000}]})"
    );
    const auto outcome = run({"status"});
    EXPECT_EQ(outcome.code, 0) << outcome.err;
    for (const auto* text : {"9.9", "1 running, 2 of 100 waiting", "local", "w1", "2.0 MB"}) {
        EXPECT_TRUE(outcome.out.contains(text)) << outcome.out;
    }
    EXPECT_TRUE(api::parse_object(run({"status", "--json"}).out));
}

TEST_F(ProgramTest, workers_spawn_waits_until_ready_or_says_why_not) {
    queen_.on(
        "POST", "/v1/workers/spawn", R"({"worker_id":"w1","url":"http://x","state":"loading"})"
    );
    queen_.on(
        "GET",
        "/v1/workers/w1",
        {{200, R"({"id":"w1","model":"tiny","state":"loading","load_fraction":0.2})"},
         {200, R"({"id":"w1","model":"tiny","state":"idle"})"}}
    );
    const auto ready = run({"workers", "spawn", "tiny", "--slots", "2"});
    EXPECT_EQ(ready.code, 0) << ready.err;
    EXPECT_EQ(ready.out, "worker w1 ready\n");
    EXPECT_TRUE(queen_.seen("POST", "/v1/workers/spawn").at(0).body.contains(R"("slots":2)"));

    queen_.on(
        "GET", "/v1/workers/w1", R"({"id":"w1","state":"failed","reason":"not a GGUF file"})"
    );
    const auto failed = run({"workers", "spawn", "tiny"});
    EXPECT_EQ(failed.code, 1);
    EXPECT_TRUE(failed.err.contains("not a GGUF file")) << failed.err;
    EXPECT_EQ(
        run({"workers", "spawn", "tiny", "--no-wait"}).out,
        "worker w1 started; its model is loading\n"
    );
}

// CLI-08
TEST_F(ProgramTest, stop_add_and_remove_call_the_queen) {
    queen_.on("DELETE", "/v1/workers/w1", {{.status = 204}});
    queen_.on("DELETE", "/v1/hives/attic", {{.status = 204}});
    queen_.on("POST", "/v1/hives", R"({"name":"attic"})");
    EXPECT_EQ(run({"workers", "shutdown", "--id", "w1"}).out, "worker w1 stopped\n");
    EXPECT_EQ(run({"hives", "add", "attic", "http://10.0.0.7:9200"}).code, 0);
    EXPECT_EQ(run({"hives", "add", "attic", "attic:9200"}).code, 1);
    EXPECT_EQ(run({"hives", "remove", "attic"}).out, "hive attic removed\n");
    EXPECT_EQ(
        queen_.seen("POST", "/v1/hives").at(0).body,
        R"({"name":"attic","url":"http://10.0.0.7:9200"})"
    );
}

TEST_F(ProgramTest, logs_are_printed_or_made_json_lines) {
    queen_.on("GET", "/v1/workers/w1/logs", "one\ntwo\n");
    EXPECT_EQ(run({"workers", "logs", "w1", "--tail", "5"}).out, "one\ntwo\n");
    EXPECT_EQ(queen_.seen("GET", "/v1/workers/w1/logs").at(0).target, "/v1/workers/w1/logs?tail=5");
    EXPECT_EQ(
        run({"workers", "logs", "w1", "--json"}).out,
        "{\"worker_id\":\"w1\",\"line\":\"one\"}\n{\"worker_id\":\"w1\",\"line\":\"two\"}\n"
    );
    EXPECT_EQ(run({"workers", "logs", "w9"}).code, 1);
}

TEST_F(ProgramTest, chat_from_a_pipe_answers_each_line) {
    queen_.on("POST", "/v1/chat/completions", {{.pieces = {chunk("yes"), chunk_end()}}});
    const auto outcome = run({"chat", "-m", "tiny"}, "one\n\ntwo\n/exit\nthree\n");
    EXPECT_EQ(outcome.code, 0) << outcome.err;
    EXPECT_EQ(outcome.out, "yes\nyes\n");
    EXPECT_EQ(queen_.seen("POST", "/v1/chat/completions").size(), 2U);
}

TEST_F(ProgramTest, up_finds_a_running_queen) {
    queen_.on("GET", "/health", R"({"status":"ok","version":"0.1.0"})");
    queen_.on("GET", "/v1/status", R"({"hives":[{"name":"local","available":true}]})");
    const auto outcome = run({"up"});
    EXPECT_EQ(outcome.code, 0) << outcome.err;
    EXPECT_TRUE(outcome.out.contains("running already")) << outcome.out;
    EXPECT_TRUE(run({"version"}).out.contains("queen  0.1.0"));
}

TEST(ChooseModel, prefers_ready_then_the_only_one_then_the_demo) {
    const auto choose = [](const char* text) {
        return choose_model(api::parse_object(text).value());
    };
    EXPECT_EQ(choose(R"({"data":[{"id":"a"},{"id":"b","state":"ready"}]})").value(), "b");
    EXPECT_EQ(choose(R"({"data":[{"id":"a","state":"available"}]})").value(), "a");
    EXPECT_EQ(choose(R"({"data":[{"id":"a"},{"id":"rbee-demo"}]})").value(), "rbee-demo");
    const auto unclear = choose(R"({"data":[{"id":"a"},{"id":"b"}]})");
    ASSERT_FALSE(unclear);
    EXPECT_TRUE(unclear.error().what.contains("a, b"));
    EXPECT_FALSE(choose(R"({"data":[]})"));
}

} // namespace
} // namespace rbee::cli
