#include "rbee/queen/gateway_fixture.hpp"
#include "rbee/queen/hive_routes.hpp"
#include "rbee/queen/node_store.hpp"
#include "rbee/store/database.hpp"

#include <gtest/gtest.h>

#include <memory>

#include "support/default_deny.hpp"
#include "support/temp_dir.hpp"

namespace rbee::queen::test {
namespace {

TEST_F(GatewayTest, AUTH_008_AUTH_009_AUTH_017_QueenDeniesEveryRouteButThePublicOnes) {
    start({});
    const rbee::test::TempDir folder;
    const auto database =
        store::Database::open(folder / "nodes.db", NodeStore::migrations()).value();
    NodeStore nodes(*database);
    HiveRoutes hives({fleet_, hives_, nodes, timers_, log_});
    rbee::test::expect_default_deny(
        {"GET /health", "GET /v1/health", "GET /metrics"},
        [&](http::Router& router) {
            gateway_->mount(router);
            info_->mount(router);
            workers_->mount(router);
            hives.mount(router);
        }
    );
}

} // namespace
} // namespace rbee::queen::test
