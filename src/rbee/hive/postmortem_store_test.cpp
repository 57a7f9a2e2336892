#include "rbee/hive/postmortem_store.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "support/temp_dir.hpp"

namespace rbee::hive {
namespace {

namespace asio = boost::asio;
namespace fs = std::filesystem;
using namespace std::chrono_literals;

class PostmortemStoreTest : public testing::Test {
protected:
    PostmortemStoreTest() { open(); }
    ~PostmortemStoreTest() override { close(); }

    void open(PostmortemStore::Limits limits = {}) {
        store_ = std::make_unique<PostmortemStore>(
            PostmortemStore::Dependencies{timers_, log_, pool_, folder_ / "deaths"}, limits
        );
        finish(store_->load());
    }
    void close() {
        finish(store_->stop());
        store_.reset();
    }
    void finish(asio::awaitable<void> work) {
        asio::co_spawn(loop_, std::move(work), [](const std::exception_ptr& failure) {
            EXPECT_FALSE(failure);
        });
        loop_.restart();
        loop_.run();
    }
    std::string die(const std::string& worker, const std::string& model, int second) {
        Postmortem death;
        death.report.worker.id = worker;
        death.report.worker.model_ref = model;
        death.report.how = "exit code " + std::to_string(second);
        death.report.log_path = folder_ / (worker + ".log");
        death.died_at = WallTime(std::chrono::seconds(second));
        return store_->record(std::move(death));
    }
    Result<boost::json::object> find(const std::string& worker) {
        std::optional<Result<boost::json::object>> found;
        asio::co_spawn(
            loop_,
            store_->find(worker),
            [&](const std::exception_ptr&, Result<boost::json::object> object) {
                found = std::move(object);
            }
        );
        loop_.restart();
        loop_.run();
        return std::move(*found);
    }
    [[nodiscard]] std::size_t files() const {
        std::error_code error;
        return static_cast<std::size_t>(
            std::distance(fs::directory_iterator(folder_ / "deaths", error), {})
        );
    }

    test::TempDir folder_;
    asio::io_context loop_{1};
    runtime::SystemTimers timers_{loop_.get_executor()};
    telemetry::Logger log_ = telemetry::Logger::silent();
    runtime::BlockingPool pool_{1, "test"};
    std::unique_ptr<PostmortemStore> store_;
};

TEST_F(PostmortemStoreTest, WhoAsksWaitsForOneThatIsBeingWritten) {
    std::ofstream(folder_ / "w1.log") << "last words\n";
    die("w1", "tiny", 100);
    const auto death = find("w1");
    ASSERT_TRUE(death) << death.error().what;
    EXPECT_EQ(death->at("log"), "last words\n");
    EXPECT_EQ(death->at("how"), "exit code 100");
    EXPECT_TRUE(death->at("earlier").as_array().empty());
    EXPECT_EQ(find("w2").error().wire_code, "POSTMORTEM_NOT_FOUND");
}

TEST_F(PostmortemStoreTest, FilesAreForTheOwnerOnly) {
    const std::string id = die("w1", "tiny", 100);
    ASSERT_TRUE(find("w1"));
    struct stat file{};
    ASSERT_EQ(::stat((folder_ / ("deaths/" + id + ".json")).c_str(), &file), 0);
    EXPECT_EQ(file.st_mode & 0777U, 0600U);
    ASSERT_EQ(::stat((folder_ / "deaths").c_str(), &file), 0);
    EXPECT_EQ(file.st_mode & 0777U, 0700U);
}

TEST_F(PostmortemStoreTest, TheLastOfEachModelAreKeptOverRestarts) {
    for (int i = 0; i < 15; ++i) {
        die("w1", "tiny", 100 + i);
        die("w2", "big", 100); // in one millisecond
    }
    finish(store_->stop());
    EXPECT_EQ(files(), 20U);
    close();
    std::ofstream(folder_ / "deaths/draft.json.1.tmp") << "{";
    std::ofstream(folder_ / "deaths/0000-broken.json") << "{";
    open();
    EXPECT_EQ(store_->all().size(), 20U);
    const auto death = find("w1");
    ASSERT_TRUE(death);
    EXPECT_EQ(death->at("how"), "exit code 114");
    const auto& earlier = death->at("earlier").as_array();
    ASSERT_EQ(earlier.size(), 9U) << "of the same model only";
    EXPECT_THAT(
        std::string(earlier.front().at("summary").as_string()), testing::HasSubstr("exit code 113")
    );
    EXPECT_FALSE(fs::exists(folder_ / "deaths/draft.json.1.tmp"));
    close();
    open({.per_model = 2, .in_all = 3});
    EXPECT_EQ(store_->all().size(), 3U);
}

TEST_F(PostmortemStoreTest, OneThatCannotBeKeptIsNotPretendedToBeThere) {
    std::ofstream(folder_ / "deaths") << "a file in the way";
    die("w1", "tiny", 100);
    EXPECT_EQ(find("w1").error().wire_code, "POSTMORTEM_NOT_FOUND");
    EXPECT_TRUE(store_->all().empty());
}

} // namespace
} // namespace rbee::hive
