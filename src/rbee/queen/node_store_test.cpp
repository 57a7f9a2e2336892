#include "rbee/queen/node_store.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <exception>
#include <filesystem>
#include <memory>
#include <string>

namespace rbee::queen {
namespace {

namespace asio = boost::asio;
using testing::IsEmpty;
using testing::SizeIs;

class NodeStoreTest : public testing::Test {
protected:
    void SetUp() override {
        std::string pattern = testing::TempDir() + "rbee-nodes-XXXXXX";
        ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
        folder_ = pattern;
        open();
    }
    void TearDown() override {
        database_.reset();
        std::filesystem::remove_all(folder_);
    }
    void open() {
        database_.reset();
        database_ =
            store::Database::open(folder_ + "/beehives.db", NodeStore::migrations()).value();
        store_ = std::make_unique<NodeStore>(*database_);
    }
    template <typename T>
    T run(asio::awaitable<T> work) {
        std::optional<T> out;
        asio::co_spawn(context_, std::move(work), [&](const std::exception_ptr& failure, T value) {
            EXPECT_FALSE(failure);
            out.emplace(std::move(value));
        });
        context_.restart();
        context_.run();
        return std::move(*out);
    }

    std::string folder_;
    asio::io_context context_{1};
    std::unique_ptr<store::Database> database_;
    std::unique_ptr<NodeStore> store_;
};

Node sample(const std::string& name) {
    Node node = node_at(name, "http://10.1.2.3:9200").value();
    node.ssh_user = "bee";
    node.ssh_key_path = "/home/bee/.ssh/id";
    node.backends = R"(["cpu"])";
    node.last_connected_unix = 17;
    return node;
}

TEST_F(NodeStoreTest, EverythingSurvivesReopening) {
    const Node node = sample("alpha");
    ASSERT_TRUE(run(store_->add(node)));
    open();
    const auto nodes = run(store_->list()).value();
    ASSERT_THAT(nodes, SizeIs(1));
    EXPECT_EQ(nodes.front(), node);
    EXPECT_EQ(nodes.front().ssh_host, "10.1.2.3");
}

TEST_F(NodeStoreTest, NameIsTakenOnce) {
    ASSERT_TRUE(run(store_->add(sample("alpha"))));
    const auto again = run(store_->add(sample("alpha")));
    ASSERT_FALSE(again);
    EXPECT_EQ(again.error().wire_code, "NODE_ALREADY_REGISTERED");
    EXPECT_EQ(run(store_->remove("alpha")).value(), true);
    EXPECT_EQ(run(store_->remove("alpha")).value(), false);
    EXPECT_THAT(run(store_->list()).value(), IsEmpty());
}

TEST_F(NodeStoreTest, ContactKeepsTheRestOfTheRow) {
    ASSERT_TRUE(run(store_->add(sample("alpha"))));
    Node contact = node_at("alpha", "http://10.1.2.4:9201").value();
    contact.status = "reachable";
    ASSERT_TRUE(run(store_->note_contact(contact)));
    ASSERT_TRUE(run(store_->note_status("alpha", "unreachable", std::nullopt)));
    ASSERT_TRUE(run(store_->note_status("alpha", "reachable", 99)));
    const Node node = run(store_->list()).value().front();
    EXPECT_EQ(node.url, "http://10.1.2.4:9201");
    EXPECT_EQ(node.ssh_user, "bee");
    EXPECT_EQ(node.status, "reachable");
    EXPECT_EQ(node.last_connected_unix, 99);
}

TEST_F(NodeStoreTest, SqlInANameIsOnlyAName) {
    const std::string evil = "x'); DROP TABLE beehives; --";
    ASSERT_TRUE(run(store_->add(sample(evil))));
    EXPECT_EQ(run(store_->list()).value().front().name, evil);
}

} // namespace
} // namespace rbee::queen
