#include "rbee/queen/node_store.hpp"
#include "rbee/queen/store_fixture.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

namespace rbee::queen {
namespace {

using testing::IsEmpty;
using testing::SizeIs;

using NodeStoreTest = StoreTest<NodeStore>;

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
