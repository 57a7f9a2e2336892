#include "rbee/hive/model_directory.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

namespace rbee::hive {
namespace {

namespace fs = std::filesystem;

class ModelDirectoryTest : public testing::Test {
protected:
    ModelDirectoryTest() {
        std::string pattern = testing::TempDir() + "rbee-models-XXXXXX";
        root_ = ::mkdtemp(pattern.data());
        fs::create_directory(root_ / "models");
    }
    ~ModelDirectoryTest() override { fs::remove_all(root_); }

    void file(const std::string& name, std::size_t bytes = 10) const {
        const fs::path path = root_ / "models" / name;
        fs::create_directories(path.parent_path());
        std::ofstream(path) << std::string(bytes, 'x');
    }
    [[nodiscard]] ModelDirectory directory() const {
        return ModelDirectory({(root_ / "models").string()});
    }
    [[nodiscard]] std::vector<std::string> names() const {
        std::vector<std::string> out;
        for (const Model& model : directory().list()) {
            out.push_back(model.name);
        }
        return out;
    }
    [[nodiscard]] Result<Model> resolve(const std::string& ref) const {
        return directory().resolve(*domain::parse_model_ref(ref));
    }

    fs::path root_;
};

TEST_F(ModelDirectoryTest, Names_come_from_files_and_folders) {
    file("tiny.gguf");
    file("chat/Model-Q4.gguf", 20);
    file("notes.txt");
    file("mmproj-tiny.gguf");
    file(".hidden.gguf");
    EXPECT_THAT(names(), testing::ElementsAre("chat", "tiny"));
    const auto model = resolve("chat");
    ASSERT_TRUE(model);
    EXPECT_EQ(model->size_bytes, 20U);
    EXPECT_TRUE(model->path.ends_with("/chat/Model-Q4.gguf"));
}

TEST_F(ModelDirectoryTest, A_model_in_parts_is_one_model) {
    file("big-00001-of-00002.gguf", 5);
    file("big-00002-of-00002.gguf", 7);
    file("inside/x-00002-of-00002.gguf", 1);
    file("inside/x-00001-of-00002.gguf", 1);
    file("broken-00001-of-00002.gguf");
    EXPECT_THAT(names(), testing::ElementsAre("big", "inside"));
    EXPECT_EQ(resolve("big")->size_bytes, 12U);
    EXPECT_TRUE(resolve("inside")->path.ends_with("x-00001-of-00002.gguf"));
}

TEST_F(ModelDirectoryTest, Links_that_lead_out_are_not_followed) {
    std::ofstream(root_ / "secret.gguf") << "secret";
    fs::create_symlink(root_ / "secret.gguf", root_ / "models" / "out.gguf");
    fs::create_directory_symlink(root_, root_ / "models" / "up");
    file("real.gguf");
    fs::create_symlink("real.gguf", root_ / "models" / "alias.gguf");
    EXPECT_THAT(names(), testing::ElementsAre("alias", "real"));
    EXPECT_EQ(resolve("out").error().wire_code, "MODEL_NOT_FOUND");
}

TEST_F(ModelDirectoryTest, An_unknown_name_is_answered_with_the_known_ones) {
    file("tiny.gguf");
    const auto missing = resolve("other");
    ASSERT_FALSE(missing);
    EXPECT_EQ(missing.error().wire_code, "MODEL_NOT_FOUND");
    EXPECT_THAT(missing.error().what, testing::HasSubstr("tiny"));
    EXPECT_THAT(missing.error().what, testing::Not(testing::HasSubstr("other")));
}

TEST_F(ModelDirectoryTest, File_references_name_any_readable_model_file) {
    std::ofstream(root_ / "mine.gguf") << "12345";
    const auto model = resolve("file:" + (root_ / "mine.gguf").string());
    ASSERT_TRUE(model);
    EXPECT_EQ(model->name, "mine");
    EXPECT_EQ(model->size_bytes, 5U);
    EXPECT_EQ(resolve("file:/nowhere/x.gguf").error().wire_code, "MODEL_NOT_FOUND");
    EXPECT_THAT(
        resolve("file:/nowhere/x.gguf").error().what, testing::Not(testing::HasSubstr("nowhere"))
    );
    EXPECT_EQ(resolve("file:/etc/passwd").error().code, Errc::invalid_argument);
    EXPECT_EQ(resolve("file:/dev/null").error().code, Errc::invalid_argument);
}

TEST_F(ModelDirectoryTest, The_hub_is_not_supported_yet) {
    EXPECT_EQ(resolve("hf:org/repo").error().code, Errc::unsupported);
}

TEST_F(ModelDirectoryTest, A_missing_directory_has_no_models) {
    EXPECT_TRUE(ModelDirectory({"/nowhere"}).list().empty());
}

} // namespace
} // namespace rbee::hive
