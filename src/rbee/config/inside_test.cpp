#include "rbee/config/inside.hpp"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <string>

namespace rbee::config {
namespace {

namespace fs = std::filesystem;

class Inside : public testing::Test {
protected:
    Inside() {
        fs::create_directories(root() / "deep");
        std::ofstream(root() / "deep" / "a.gguf") << "x";
        std::ofstream(base_ / "secret") << "x";
        fs::create_symlink(base_ / "secret", root() / "out");
        fs::create_symlink(root() / "deep" / "a.gguf", root() / "in");
        fs::create_directory_symlink(root() / "deep", root() / "alias");
    }
    ~Inside() override { fs::remove_all(base_); }

    [[nodiscard]] fs::path root() const { return base_ / "root"; }

    fs::path base_ = fs::temp_directory_path() / ("rbee-inside-" + std::to_string(::getpid()));
};

TEST_F(Inside, AcceptsWhatIsThere) {
    EXPECT_EQ(path_inside("deep/a.gguf", root()), fs::canonical(root() / "deep/a.gguf"));
    EXPECT_EQ(
        path_inside((root() / "deep/a.gguf").string(), root()),
        fs::canonical(root() / "deep/a.gguf")
    );
    EXPECT_TRUE(path_inside("in", root()).has_value());
    EXPECT_TRUE(path_inside_without_links("deep/a.gguf", root()).has_value());
}

TEST_F(Inside, RefusesInOrder) {
    using enum PathViolation;
    const auto why = [this](std::string_view path) { return path_inside(path, root()).error(); };
    EXPECT_EQ(why(""), empty);
    EXPECT_EQ(why(std::string_view("..\0", 3)), null_byte);
    EXPECT_EQ(why("../secret"), path_traversal);
    EXPECT_EQ(why("./deep"), path_traversal);
    EXPECT_EQ(why("deep/../deep/a.gguf"), path_traversal);
    EXPECT_EQ(why("..\\secret"), path_traversal);
    EXPECT_EQ(why("nothing"), io);
    EXPECT_EQ(why("out"), outside_root);
    EXPECT_EQ(why("/etc/passwd"), outside_root);
    EXPECT_EQ(path_inside("a", root() / "nothing").error(), io);
}

TEST_F(Inside, CanRefuseEveryLink) {
    using enum PathViolation;
    for (const char* path : {"out", "in", "alias/a.gguf"}) {
        EXPECT_EQ(path_inside_without_links(path, root()).error(), outside_root) << path;
    }
}

RC_GTEST_FIXTURE_PROP(Inside, WhateverPassesIsBelowTheRoot, (const std::string& text)) {
    if (const auto path = path_inside(text, root())) {
        RC_ASSERT(path->string().starts_with(fs::canonical(root()).string()));
    }
}

} // namespace
} // namespace rbee::config
