#include "rbee/config/settings_table.hpp"
#include "rbee/config/settings_text.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <string>
#include <utility>
#include <vector>

namespace rbee::config {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using Kind = Setting::Kind;

const std::vector<Setting>& rows() {
    static const std::vector<Setting> all = {
        {.name = "port",
         .variable = "X_PORT",
         .help = "Port to listen on [8080]",
         .kind = Kind::number,
         .key = "server.port",
         .short_flag = 'p'},
        {.name = "level",
         .variable = "X_LEVEL",
         .help = "How much [info]",
         .key = "log.level",
         .live = true},
        {.name = "models",
         .variable = "X_MODELS",
         .help = "Where [$HOME/models]",
         .kind = Kind::list,
         .key = "models.dirs",
         .live = true},
        {.name = "safe",
         .variable = "X_SAFE",
         .help = "On or off [off]",
         .kind = Kind::toggle,
         .key = "server.safe"},
        {.name = "pass",
         .variable = "X_PASS",
         .help = "A \"password\"",
         .key = "auth.pass",
         .secret = true},
    };
    return all;
}

struct Input {
    std::string file;
    std::map<std::string, std::string, std::less<>> environment = {};
    std::map<std::string, std::vector<std::string>, std::less<>> flags = {};
};

Result<ReadSettings> read(const Input& given) {
    auto file = TomlFile::parse(given.file, "c.toml");
    if (!file) {
        return error_of(file);
    }
    SettingSources sources{
        .flags = given.flags,
        .environment =
            [&given](std::string_view name) {
                const auto found = given.environment.find(name);
                return found == given.environment.end() ? std::nullopt
                                                        : std::optional(found->second);
            },
        .file = &*file,
    };
    auto out = read_settings(rows(), sources);
    if (const auto known = file->check_unknown(); out && !known) {
        return error_of(known);
    }
    return out;
}

SettingValues values(const std::string& file) {
    return read({.file = file}).value().values;
}

TEST(SettingsTable, AFlagWinsOverTheEnvironmentAndThatOverTheFile) {
    const std::string file = "[server]\nport = 1\nsafe = true\n[log]\nlevel = \"warn\"\n"
                             "[models]\ndirs = [\"/a\", \"/b\"]\n";
    const auto got = read({
        .file = file,
        .environment = {{"X_PORT", "2"}, {"X_LEVEL", "debug"}, {"X_SAFE", ""}},
        .flags = {{"port", {"3"}}},
    });
    ASSERT_TRUE(got) << got.error().what;
    EXPECT_EQ(got->values.at("port").text(), "3");
    EXPECT_EQ(got->values.at("port").where, "--port");
    EXPECT_EQ(got->values.at("level").text(), "debug");
    EXPECT_EQ(got->values.at("level").origin, Given::Origin::environment);
    EXPECT_THAT(got->values.at("models").texts, ElementsAre("/a", "/b"));
    EXPECT_EQ(got->values.at("models").where, "c.toml:7");
    EXPECT_EQ(got->values.at("safe").text(), "on") << "an empty variable is none";
}

TEST(SettingsTable, CFG_005_AWrongTypeNamesFieldAndExpectedType) {
    EXPECT_EQ(
        read({.file = "[server]\nport = \"x\"\n"}).error().what,
        "c.toml:2: server.port must be an integer"
    );
    EXPECT_THAT(
        read({.file = "[server]\nport = 1\nsafe = 7\n"}).error().what,
        HasSubstr("c.toml:3: server.safe must be true or false")
    );
    EXPECT_THAT(
        read({.file = "[models]\ndirs = \"/a\"\n"}).error().what, HasSubstr("array of strings")
    );
    EXPECT_THAT(
        read({.file = "[server]\nport = \"x\"\n", .flags = {{"port", {"3"}}}}).error().what,
        HasSubstr("server.port")
    ) << "read even when a flag wins";
    EXPECT_THAT(
        read({.file = "[server]\nprot = 1\n"}).error().what, HasSubstr("server.prot (line 2)")
    );
}

TEST(SettingsTable, OnAndOffMayBeWordsInTheFile) {
    EXPECT_EQ(values("[server]\nsafe = \"on\"\n").at("safe").text(), "on");
    EXPECT_EQ(values("[server]\nsafe = false\n").at("safe").text(), "off");
    EXPECT_TRUE(values("[log]\nlevel = \"\"\n[models]\ndirs = []\n").empty());
}

TEST(SettingsTable, CFG_004_AVariableThatOverridesTheFileIsReportedWithBothValues) {
    const auto got = read({
        .file = "[server]\nport = 1\n[log]\nlevel = \"warn\"\n[auth]\npass = \"hidden-1\"\n",
        .environment = {{"X_PORT", "2"}, {"X_LEVEL", "warn"}, {"X_PASS", "hidden-2"}},
    });
    ASSERT_TRUE(got) << got.error().what;
    ASSERT_EQ(got->overrides.size(), 2U) << "the same value is no news";
    EXPECT_EQ(got->overrides[0].key, "server.port");
    EXPECT_EQ(got->overrides[0].variable, "X_PORT");
    EXPECT_EQ(got->overrides[0].from_file, "1");
    EXPECT_EQ(got->overrides[0].from_environment, "2");
    EXPECT_EQ(got->overrides[1].from_file, "[REDACTED]");
    EXPECT_EQ(got->overrides[1].from_environment, "[REDACTED]");
}

TEST(SettingsTable, DifferencesAreNamedWithoutSecretsAndWithoutDefaultsSpeltOut) {
    const auto before = values("[server]\nport = 8080\n[auth]\npass = \"a\"\n");
    const auto after = values("[log]\nlevel = \"debug\"\n[auth]\npass = \"b\"\n");
    const auto all = changes(rows(), before, after);
    ASSERT_EQ(all.size(), 2U);
    EXPECT_EQ(all[0].key, "log.level");
    EXPECT_EQ(all[0].before, "info");
    EXPECT_EQ(all[0].after, "debug");
    EXPECT_TRUE(all[0].live);
    EXPECT_EQ(all[1].key, "auth.pass");
    EXPECT_EQ(all[1].before, "[REDACTED]");
    EXPECT_EQ(all[1].after, "[REDACTED]");
    EXPECT_FALSE(all[1].live);
}

TEST(SettingsTable, AReloadKeepsWhatNeedsARestart) {
    const auto running = values("[server]\nport = 1\n[log]\nlevel = \"warn\"\n");
    const auto now = after_reload(rows(), running, values("[server]\nsafe = true\n"));
    EXPECT_EQ(now.at("port").text(), "1");
    EXPECT_FALSE(now.contains("safe"));
    EXPECT_FALSE(now.contains("level")) << "this one is live";
}

TEST(SettingsText, TheExampleIsCompleteAndStaysValidWhenEveryLineIsTakenIntoUse) {
    std::string text = example_file(rows(), {"x-rbee", "x"}, "#[[more]]\n#name = \"a\"");
    EXPECT_THAT(text, HasSubstr("--config or RBEE_X_CONFIG"));
    EXPECT_THAT(
        text,
        HasSubstr("[server]\n# Port to listen on [8080]\n# -p, --port, X_PORT; "
                  "needs a restart\n#port = 8080\n")
    );
    EXPECT_THAT(text, HasSubstr("#dirs = []\n"));
    EXPECT_THAT(text, HasSubstr("#safe = false\n"));
    EXPECT_THAT(text, HasSubstr("#[[more]]"));
    auto file = TomlFile::parse(text, "example");
    ASSERT_TRUE(file) << file.error().what;
    EXPECT_TRUE(file->unknown().empty());
    text = example_file(rows(), {"x-rbee", "x"}, "");
    for (std::size_t at = 0; (at = text.find("\n#", at)) != std::string::npos; ++at) {
        if (text[at + 2] != ' ') {
            text.erase(at + 1, 1);
        }
    }
    const auto used = read({.file = text});
    ASSERT_TRUE(used) << used.error().what << "\n" << text;
    EXPECT_TRUE(changes(rows(), {}, used->values).empty()) << text;
    EXPECT_TRUE(used->values.contains("port"));
}

TEST(SettingsText, TheTableForTheDocumentationHasALineForEach) {
    const std::string text = settings_markdown(rows());
    EXPECT_THAT(
        text,
        HasSubstr("| `server.port` | `-p`, `--port` | `X_PORT` | 8080 | no | Port to listen on |\n")
    );
    EXPECT_THAT(text, HasSubstr("| `log.level` | `--level` | `X_LEVEL` | info | yes | How much |"));
    EXPECT_THAT(text, HasSubstr("| `auth.pass` | `--pass` | `X_PASS` | – | no | A \"password\" |"));
}

} // namespace
} // namespace rbee::config
