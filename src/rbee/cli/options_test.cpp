#include "rbee/cli/completion.hpp"
#include "rbee/cli/fake_queen_test.hpp"
#include "rbee/cli/options.hpp"

#include <gtest/gtest.h>

#include <cstdio>
#include <fstream>

namespace rbee::cli {
namespace {

template <typename Options>
Options parsed(const std::vector<std::string>& arguments) {
    const auto result = parse(arguments);
    if (!result) {
        ADD_FAILURE() << result.error().what;
        return {};
    }
    return std::get<Options>(std::get<Invocation>(*result).command);
}

TEST(Parse, reads_every_option_of_infer) {
    const auto options = parsed<InferOptions>(
        {"infer", "--model", "tiny",     "--max-tokens", "5",   "--temperature",
         "0",     "--seed",  "7",        "--top-p",      "0.5", "--top-k",
         "40",    "--stop",  "[a,b]",    "--stop",       "END", "--timeout",
         "2.5",   "--raw",   "say hello"}
    );
    EXPECT_EQ(options.prompt, "say hello");
    EXPECT_EQ(options.model, "tiny");
    EXPECT_EQ(options.sampling.max_tokens, 5U);
    EXPECT_EQ(options.sampling.temperature, 0.0);
    EXPECT_EQ(options.sampling.seed, 7U);
    EXPECT_EQ(options.sampling.stop, (std::vector<std::string>{"[a,b]", "END"}));
    EXPECT_EQ(options.timeout_s, 2.5);
    EXPECT_TRUE(options.raw);
}

TEST(Parse, takes_prompts_that_look_like_something_else) {
    EXPECT_EQ(parsed<InferOptions>({"infer", "[1,2]"}).prompt, "[1,2]");
    EXPECT_EQ(parsed<InferOptions>({"infer", "-"}).prompt, "-");
    EXPECT_EQ(parsed<InferOptions>({"infer", "--prompt", "workers"}).prompt, "workers");
    EXPECT_EQ(parsed<InferOptions>({"infer", "--", "--help me"}).prompt, "--help me");
    EXPECT_FALSE(parsed<InferOptions>({"infer"}).prompt_given);
}

TEST(Parse, a_place_for_the_request_means_raw) {
    EXPECT_TRUE(parsed<InferOptions>({"infer", "--node", "attic", "x"}).raw);
    EXPECT_FALSE(parsed<InferOptions>({"infer", "x"}).raw);
    EXPECT_FALSE(parse({"infer", "--node", "attic", "--chat", "x"}));
}

TEST(Parse, takes_global_flags_in_front_and_behind) {
    for (const auto& arguments :
         {std::vector<std::string>{"--json", "--queen", "http://q:1", "workers", "list"},
          std::vector<std::string>{"workers", "list", "--json", "--queen", "http://q:1"}}) {
        const auto result = parse(arguments);
        ASSERT_TRUE(result);
        const auto& global = std::get<Invocation>(*result).global;
        EXPECT_TRUE(global.json);
        EXPECT_EQ(global.queen, "http://q:1");
    }
}

TEST(Parse, tells_health_from_list_and_stop_by_flag) {
    EXPECT_TRUE(parsed<WorkersListOptions>({"workers", "health", "--node", "n"}).health);
    EXPECT_FALSE(parsed<WorkersListOptions>({"workers", "list"}).health);
    EXPECT_EQ(parsed<WorkersStopOptions>({"workers", "shutdown", "--id", "w-1"}).id, "w-1");
    EXPECT_EQ(parsed<WorkersStopOptions>({"workers", "stop", "w-1"}).id, "w-1");
}

TEST(Parse, refuses_with_a_sentence_that_names_the_argument) {
    struct Row {
        std::vector<std::string> arguments;
        std::string names;
    };
    const std::vector<Row> rows = {
        {{}, "subcommand"},
        {{"fly"}, "fly"},
        {{"infer", "--bogus", "x"}, "--bogus"},
        {{"infer", "--max-tokens", "abc", "x"}, "--max-tokens"},
        {{"infer", "--temperature", "9", "x"}, "--temperature"},
        {{"infer", "--model", "a;b", "x"}, "model reference"},
        {{"infer", "--backend", "rocm", "x"}, "cpu"},
        {{"up", "--port", "80"}, "--port"},
        {{"workers", "stop"}, "worker"},
        {{"workers", "logs", "a/b"}, "worker ID"},
        {{"workers", "spawn", "org/repo"}, "hf:org/repo"},
        {{"workers", "spawn", "tiny", "--slots", "257"}, "--slots"},
        {{"workers", "logs", "w-1", "--tail", "10001"}, "--tail"},
        {{"workers", "list", "--node", "a@b"}, "node name"},
        {{"hives", "add", "attic"}, "url"},
        {{"hives", "add", "attic", "ftp://x"}, "http://host:port"},
        {{"hives", "add", "attic", "http://a\x1b:1"}, "ANSI escape codes"},
        {{"completion", "tcsh"}, "bash"},
    };
    for (const Row& row : rows) {
        const auto result = parse(row.arguments);
        ASSERT_FALSE(result) << row.names;
        EXPECT_EQ(result.error().code, Errc::invalid_argument);
        EXPECT_TRUE(result.error().what.contains(row.names)) << result.error().what;
    }
}

TEST(Parse, help_belongs_to_the_command_asked_about) {
    const auto help = parse({"workers", "spawn", "--help"});
    ASSERT_TRUE(help);
    const auto& text = std::get<Notice>(*help).text;
    EXPECT_TRUE(text.contains("rbee workers spawn")) << text;
    EXPECT_TRUE(text.contains("--no-wait"));
    EXPECT_TRUE(text.contains("Examples:"));
    const auto version = parse({"--version"});
    ASSERT_TRUE(version);
    EXPECT_EQ(std::get<Notice>(*version).text, "rbee " RBEE_VERSION "\n");
}

/// Runs a shell command and returns its output; the exit code goes to `code`.
std::string shell(const std::string& command, int& code) {
    std::FILE* pipe = ::popen(command.c_str(), "r");
    std::string out;
    for (int c = std::fgetc(pipe); c != EOF; c = std::fgetc(pipe)) {
        out.push_back(static_cast<char>(c));
    }
    code = ::pclose(pipe);
    return out;
}

TEST(Completion, bash_script_is_valid_and_completes) {
    const testing::TemporaryFolder folder;
    const std::string path = (folder.path() / "rbee.bash").string();
    std::ofstream(path) << completion_script(command_tree(), "bash").value();
    int code = 0;
    shell("bash -n " + path, code);
    ASSERT_EQ(code, 0);
    const auto complete = [&](const std::string& words, int at) {
        const std::string script = fmt::format(
            "source {}; COMP_WORDS=({}); COMP_CWORD={}; _rbee; echo \"${{COMPREPLY[*]}}\"",
            path,
            words,
            at
        );
        return shell("bash -c '" + script + "'", code);
    };
    EXPECT_EQ(complete("rbee wor", 1), "workers\n");
    EXPECT_EQ(complete("rbee workers s", 2), "spawn stop shutdown\n");
    EXPECT_EQ(complete("rbee --json workers spawn --no", 4), "--node --no-wait --no-color\n");
    EXPECT_EQ(complete("rbee workers spawn m --backend cu", 5), "cuda\n");
    EXPECT_EQ(complete("rbee completion f", 2), "fish\n");
}

TEST(Completion, every_shell_knows_every_command) {
    const CommandTree tree = command_tree();
    for (const auto* name : {"bash", "zsh", "fish"}) {
        const auto script = completion_script(tree, name);
        ASSERT_TRUE(script);
        for (const CommandTree& command : tree.commands) {
            EXPECT_TRUE(script->contains(command.name)) << name << " " << command.name;
            EXPECT_FALSE(command.description.empty());
        }
    }
    EXPECT_FALSE(completion_script(tree, "tcsh"));
}

} // namespace
} // namespace rbee::cli
