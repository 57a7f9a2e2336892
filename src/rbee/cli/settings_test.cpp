#include "rbee/auth/token_file.hpp"
#include "rbee/cli/daemon.hpp"
#include "rbee/cli/fake_queen_test.hpp"
#include "rbee/cli/settings.hpp"
#include "rbee/process/process_stat.hpp"

#include <gtest/gtest.h>
#include <unistd.h>

#include <fstream>

namespace rbee::cli {
namespace {

class SettingsTest : public ::testing::Test {
protected:
    std::string token_file(const std::string& name, const std::string& token) {
        const auto path = (folder_.path() / name).string();
        EXPECT_TRUE(auth::store_token_file(path, Secret::copy_of(token)));
        return path;
    }
    std::string file(const std::string& name, const std::string& text) {
        const auto path = folder_.path() / name;
        std::filesystem::create_directories(path.parent_path());
        std::ofstream(path) << text;
        return path.string();
    }
    Result<Settings> load() {
        values_.emplace("HOME", folder_.path().string());
        return load_settings(flags_, Environment(values_));
    }

    testing::TemporaryFolder folder_;
    Environment::Values values_;
    GlobalOptions flags_;
};

TEST_F(SettingsTest, queen_comes_from_the_first_source_that_names_one) {
    EXPECT_EQ(load()->queen_url, "http://127.0.0.1:8080");
    const ProcessMark self{
        ::getpid(), process::start_ticks_of(::getpid()).value(), "http://127.0.0.1:7"
    };
    ASSERT_TRUE(make_private_folder(folder_.path() / ".rbee" / "run"));
    ASSERT_TRUE(write_pid_file(folder_.path() / ".rbee" / "run" / "queen.pid", self));
    EXPECT_EQ(load()->queen_url, "http://127.0.0.1:7");
    file(".config/rbee/config.toml", "[queen]\nurl = \"http://a:1\"\n");
    EXPECT_EQ(load()->queen_url, "http://a:1");
    values_["RBEE_QUEEN_URL"] = "http://b:2";
    EXPECT_EQ(load()->queen_url, "http://b:2");
    flags_.queen = "http://c:3";
    EXPECT_EQ(load()->queen_url, "http://c:3");
    EXPECT_EQ(load()->queen_source, "--queen");
}

TEST_F(SettingsTest, a_dead_queen_of_up_is_not_asked) {
    ASSERT_TRUE(make_private_folder(folder_.path() / ".rbee" / "run"));
    const ProcessMark other{::getpid(), 1, "http://127.0.0.1:7"}; // number reused
    ASSERT_TRUE(write_pid_file(folder_.path() / ".rbee" / "run" / "queen.pid", other));
    EXPECT_EQ(load()->queen_url, "http://127.0.0.1:8080");
}

TEST_F(SettingsTest, token_comes_from_the_first_source_that_has_one) {
    EXPECT_TRUE(load()->token.empty());
    ASSERT_TRUE(make_private_folder(folder_.path() / ".rbee"));
    token_file(".rbee/token", "home");
    EXPECT_EQ(load()->token.expose(), "home");
    file(".config/rbee/config.toml", "[auth]\ntoken_file = \"" + token_file("f", "file") + "\"\n");
    EXPECT_EQ(load()->token.expose(), "file");
    values_["LLORCH_API_TOKEN"] = "variable";
    EXPECT_EQ(load()->token.expose(), "variable");
    values_["LLORCH_API_TOKEN_FILE"] = token_file("v", "variable file");
    EXPECT_EQ(load()->token.expose(), "variable file");
    flags_.token_file = token_file("g", "flag");
    EXPECT_EQ(load()->token.expose(), "flag");
}

// CLI-03
TEST_F(SettingsTest, config_file_is_taken_from_the_environment_first) {
    file(".config/rbee/config.toml", "[queen]\nurl = \"http://user:1\"\n");
    values_["RBEE_CONFIG"] = file("own.toml", "[queen]\nurl = \"http://own:1\"\n");
    EXPECT_EQ(load()->queen_url, "http://own:1");
}

TEST_F(SettingsTest, what_was_named_but_cannot_be_read_is_an_error) {
    flags_.token_file = "/nonexistent/token";
    EXPECT_FALSE(load());
    flags_.token_file.clear();
    flags_.queen = "ftp://x";
    const auto scheme = load();
    ASSERT_FALSE(scheme);
    EXPECT_TRUE(scheme.error().what.starts_with("--queen: "));
    flags_.queen.clear();
    values_["RBEE_CONFIG"] = file("bad.toml", "[queen]\nurl = 5\n");
    const auto type = load();
    ASSERT_FALSE(type);
    EXPECT_TRUE(type.error().what.contains("queen.url must be a string")) << type.error().what;
    values_["RBEE_CONFIG"] = file("worse.toml", "\n[queen\n");
    const auto syntax = load();
    ASSERT_FALSE(syntax);
    EXPECT_TRUE(syntax.error().what.contains("line 2")) << syntax.error().what;
    values_["RBEE_CONFIG"] = "/nonexistent.toml";
    EXPECT_FALSE(load());
}

TEST_F(SettingsTest, pid_file_round_trips_and_a_process_is_known_by_its_start) {
    const auto path = folder_.path() / "queen.pid";
    EXPECT_FALSE(read_pid_file(path));
    ProcessMark mark{
        ::getpid(), process::start_ticks_of(::getpid()).value(), "http://127.0.0.1:8080"
    };
    ASSERT_TRUE(write_pid_file(path, mark));
    EXPECT_TRUE(is_running(read_pid_file(path).value()));
    EXPECT_TRUE(open_process(mark).valid());
    ++mark.start_time;
    EXPECT_FALSE(is_running(mark));
    EXPECT_FALSE(open_process(mark).valid());
    file("queen.pid", "garbage");
    EXPECT_FALSE(read_pid_file(path));
}

TEST_F(SettingsTest, last_line_skips_what_was_there_before) {
    const auto path = file("queen.log", "old\n");
    EXPECT_EQ(last_line(path, 4), "");
    std::ofstream(path, std::ios::app) << "first\nlast one\n\n";
    EXPECT_EQ(last_line(path, 4), "last one");
    EXPECT_EQ(last_line(folder_.path() / "none", 0), "");
}

} // namespace
} // namespace rbee::cli
