#include "rbee/config/toml_file.hpp"

#include <gtest/gtest.h>
#include <rapidcheck.h>

#include <cstdint>
#include <fstream>
#include <string>
#include <vector>

#include "support/temp_dir.hpp"

namespace rbee::config {
namespace {

TomlFile read(std::string_view text) {
    auto file = TomlFile::parse(text, "c.toml");
    EXPECT_TRUE(file.has_value()) << (file ? "" : file.error().what);
    return std::move(*file);
}

template <typename T>
std::string error_for(std::string_view text, std::string_view field) {
    const auto value = read(text).get<T>(field);
    return value ? "no error" : value.error().what;
}

TEST(TomlFile, ReadsTypedValues) {
    auto file = read(R"(
        name = "queen"
        ratio = 0.5
        whole = 2
        debug = true
        [server]
        port = 8500
        hosts = ["a", "b"]
        none = []
    )");
    EXPECT_EQ(file.get<std::string>("name").value(), "queen");
    EXPECT_EQ(file.get<double>("ratio").value(), 0.5);
    EXPECT_EQ(file.get<double>("whole").value(), 2.0);
    EXPECT_EQ(file.get<bool>("debug").value(), true);
    EXPECT_EQ(file.get<std::uint16_t>("server.port").value(), 8500);
    EXPECT_EQ(
        file.get<std::vector<std::string>>("server.hosts").value(),
        (std::vector<std::string>{"a", "b"})
    );
    EXPECT_EQ(
        file.get<std::vector<std::string>>("server.none").value(), std::vector<std::string>{}
    );
    EXPECT_EQ(file.get<std::int64_t>("server.missing").value(), std::nullopt);
    EXPECT_EQ(file.get<std::uint16_t>("server.missing").value(), std::nullopt);
}

TEST(TomlFile, NamesUnderAPrefixAreUnknownUntilTheyAreRead) {
    auto file = read("[a]\nx = 1\n[a.b.\"c.d\"]\ny = 2\n[a.bc]\nz = 3\n");
    EXPECT_EQ(file.names_under("a.b."), std::vector<std::string>{"a.b.c.d.y"});
    EXPECT_TRUE(file.names_under("b.").empty());
    EXPECT_EQ(file.unknown().size(), 3U);
    EXPECT_EQ(file.get<int>("a.b.c.d.y").value(), 2);
    EXPECT_EQ(file.unknown().size(), 2U);
}

TEST(TomlFile, ErrorsNameFileLineFieldAndType) {
    const std::string text = "[server]\nport = \"8500\"\nhosts = [1]\nwhen = 2026-01-01\n";
    EXPECT_EQ(error_for<int>(text, "server.port"), "c.toml:2: server.port must be an integer");
    EXPECT_EQ(error_for<bool>(text, "server.port"), "c.toml:2: server.port must be true or false");
    EXPECT_EQ(error_for<double>(text, "server.port"), "c.toml:2: server.port must be a number");
    EXPECT_EQ(
        error_for<std::vector<std::string>>(text, "server.hosts"),
        "c.toml:3: server.hosts must be an array of strings"
    );
    EXPECT_EQ(
        error_for<std::string>(text, "server.when"), "c.toml:4: server.when must be a string"
    );
    EXPECT_EQ(
        error_for<std::uint16_t>("port = 70000", "port"),
        "c.toml:1: port must be between 0 and 65535"
    );
    EXPECT_EQ(
        error_for<std::uint8_t>("port = -1", "port"), "c.toml:1: port must be between 0 and 255"
    );
}

TEST(TomlFile, MistakesInTheTextAreNamedByLine) {
    const auto file = TomlFile::parse("a = 1\nb = = 2\n", "c.toml");
    ASSERT_FALSE(file.has_value());
    EXPECT_EQ(file.error().code, Errc::invalid_argument);
    EXPECT_TRUE(file.error().what.starts_with("c.toml:2: ")) << file.error().what;
    EXPECT_FALSE(TomlFile::parse("a = 1\na = 2\n", "c.toml").has_value());
}

TEST(TomlFile, NamesWhatNobodyAskedFor) {
    auto file = read("[server]\nport = 1\nprot = 2\n[sever]\nhost = \"x\"\n");
    EXPECT_TRUE(file.get<int>("server.port").has_value());
    EXPECT_EQ(file.unknown(), (std::vector<std::string>{"server.prot", "sever.host"}));
    const auto checked = file.check_unknown();
    ASSERT_FALSE(checked.has_value());
    EXPECT_EQ(
        checked.error().what, "c.toml: unknown setting: server.prot (line 3), sever.host (line 5)"
    );
    EXPECT_TRUE(file.get<int>("server.prot").has_value());
    EXPECT_TRUE(file.get<std::string>("sever.host").has_value());
    EXPECT_TRUE(file.check_unknown().has_value());
}

TEST(TomlFile, ReadsArraysOfTables) {
    auto file = read("[[node]]\nname = \"a\"\n[[node]]\nname = \"b\"\n");
    EXPECT_EQ(file.count("node"), 2U);
    EXPECT_EQ(file.get<std::string>("node[1].name").value(), "b");
    EXPECT_EQ(file.count("other"), 0U);
}

TEST(TomlFile, LoadsFiles) {
    const test::TempDir folder;
    std::ofstream(folder / "c.toml") << "a = 1";
    auto file = TomlFile::load(folder / "c.toml");
    ASSERT_TRUE(file.has_value());
    EXPECT_EQ(file->get<int>("a").value(), 1);
    EXPECT_EQ(TomlFile::load(folder / "none.toml").error().code, Errc::not_found);
    EXPECT_EQ(TomlFile::load(folder.path()).error().code, Errc::io);
    std::ofstream(folder / "big.toml") << std::string(TomlFile::bytes_max + 1, '#');
    EXPECT_EQ(TomlFile::load(folder / "big.toml").error().code, Errc::too_large);
}

TEST(TomlFile, NoTextBreaksTheReader) {
    EXPECT_TRUE(rc::check("any text gives a file or an error", [](const std::string& text) {
        const auto file = TomlFile::parse(text, "c.toml");
        RC_ASSERT(file.has_value() || file.error().code == Errc::invalid_argument);
    }));
    EXPECT_FALSE(TomlFile::parse("a = " + std::string(100000, '['), "c.toml").has_value());
}

} // namespace
} // namespace rbee::config
