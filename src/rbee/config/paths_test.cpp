#include "rbee/config/paths.hpp"

#include <gtest/gtest.h>

#include <map>
#include <optional>
#include <string>
#include <utility>

namespace rbee::config {
namespace {

Environment with(std::map<std::string, std::string, std::less<>> values) {
    return [values = std::move(values)](std::string_view name) -> std::optional<std::string> {
        const auto at = values.find(name);
        return at == values.end() ? std::nullopt : std::optional(at->second);
    };
}

TEST(Paths, RbeeHomeGoesFirst) {
    const auto paths = Paths::from(with({{"RBEE_HOME", "/srv/rbee/"}, {"HOME", "/home/u"}}));
    ASSERT_TRUE(paths.has_value());
    EXPECT_EQ(paths->data_dir(), "/srv/rbee");
    EXPECT_EQ(paths->models_dir(), "/srv/rbee/models");
    EXPECT_EQ(paths->database("queen"), "/srv/rbee/queen.db");
}

TEST(Paths, HomeIsTheDefault) {
    EXPECT_EQ(Paths::from(with({{"HOME", "/home/u"}}))->data_dir(), "/home/u/.rbee");
    EXPECT_EQ(
        Paths::from(with({{"RBEE_HOME", ""}, {"HOME", "/home/u"}}))->data_dir(), "/home/u/.rbee"
    );
}

TEST(Paths, WithoutAPlaceThereIsAnError) {
    EXPECT_EQ(Paths::from(with({})).error().code, Errc::invalid_argument);
    EXPECT_EQ(Paths::from(with({{"RBEE_HOME", "here"}})).error().code, Errc::invalid_argument);
}

TEST(Paths, ConfigIsLookedUpInOrder) {
    const auto all = [](const std::string&) { return true; };
    const auto none = [](const std::string&) { return false; };
    const auto system = [](const std::string& path) { return path.starts_with("/etc"); };
    const auto home = with({{"HOME", "/home/u"}});
    const auto named = with({{"RBEE_QUEEN_CONFIG", "/x.toml"}});
    EXPECT_EQ(find_config({named, "queen"}, none), "/x.toml");
    EXPECT_EQ(find_config({named, "hive"}, none), std::nullopt) << "that is for the queen";
    EXPECT_EQ(find_config({home, "hive"}, all), "/home/u/.config/rbee/hive.toml");
    const auto xdg = with({{"HOME", "/home/u"}, {"XDG_CONFIG_HOME", "/cfg"}});
    EXPECT_EQ(find_config({xdg, "queen"}, all), "/cfg/rbee/queen.toml");
    EXPECT_EQ(find_config({home, "queen"}, system), "/etc/rbee/queen.toml");
    EXPECT_EQ(find_config({with({}), "queen"}, all), "/etc/rbee/queen.toml");
    EXPECT_EQ(find_config({home, "queen"}, none), std::nullopt);
}

TEST(Paths, ExpandsTheHomeFolder) {
    const auto home = with({{"HOME", "/home/u"}});
    EXPECT_EQ(expand_home("~/m", home), "/home/u/m");
    EXPECT_EQ(expand_home("~", home), "/home/u");
    EXPECT_EQ(expand_home("~other/m", home), "~other/m");
    EXPECT_EQ(expand_home("/m", home), "/m");
    EXPECT_EQ(expand_home("~/m", with({})), "~/m");
}

} // namespace
} // namespace rbee::config
