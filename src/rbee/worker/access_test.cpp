#include "rbee/worker/service_fixture.hpp"

#include <gtest/gtest.h>

#include <chrono>
#include <string>

#include "support/default_deny.hpp"

namespace rbee::worker {
namespace {

TEST_F(ServiceTest, AUTH_008_AUTH_009_AUTH_017_WorkerDeniesEveryRouteButThePublicOnes) {
    test::expect_default_deny(
        service_.routes(),
        {"GET /health", "GET /v1/health", "GET /metrics"},
        [&](const std::string& method, const std::string& path) {
            clock_.advance(std::chrono::seconds(1)); // failures are limited by time
            auto request = this->request(method, path);
            request.headers.remove("Authorization");
            return fetch(std::move(request)).status;
        }
    );
    EXPECT_EQ(shutdowns_, 0);
}

} // namespace
} // namespace rbee::worker
