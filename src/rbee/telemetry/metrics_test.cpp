#include "rbee/telemetry/metrics.hpp"

#include <gtest/gtest.h>

#include <string>

namespace rbee::telemetry {
namespace {

TEST(Metrics, WritesTheExpositionFormat) {
    Metrics metrics;
    metrics.counter("rbee_requests_total", "Requests.", {{"code", "2xx"}}).Increment(3);
    metrics.gauge("rbee_slots_free", "Free slots.").Set(4);
    metrics.histogram("rbee_wait_seconds", "Wait.", {0.1, 1}).Observe(0.5);
    const std::string text = metrics.text();
    for (const char* line :
         {"# HELP rbee_requests_total Requests.\n",
          "# TYPE rbee_requests_total counter\n",
          "rbee_requests_total{code=\"2xx\"} 3\n",
          "# TYPE rbee_slots_free gauge\n",
          "rbee_slots_free 4\n",
          "rbee_wait_seconds_bucket{le=\"0.1\"} 0\n",
          "rbee_wait_seconds_bucket{le=\"1\"} 1\n",
          "rbee_wait_seconds_bucket{le=\"+Inf\"} 1\n",
          "rbee_wait_seconds_count 1\n"}) {
        EXPECT_NE(text.find(line), std::string::npos) << line << "in\n" << text;
    }
}

TEST(Metrics, TheSameSeriesIsTheSameObject) {
    Metrics metrics;
    auto& first = metrics.counter("a_total", "A.", {{"k", "1"}});
    auto& other = metrics.counter("a_total", "A.", {{"k", "2"}});
    for (int i = 0; i < 100; ++i) {
        metrics.counter("a_total", "A.", {{"k", std::to_string(100 + i)}}).Increment();
    }
    EXPECT_EQ(&first, &metrics.counter("a_total", "A.", {{"k", "1"}}));
    EXPECT_NE(&first, &other);
}

TEST(MetricsDeathTest, MisuseStopsTheProgram) {
    Metrics metrics;
    metrics.counter("a_total", "A.").Increment();
    EXPECT_DEATH(metrics.gauge("a_total", "A.").Set(1), "");
    EXPECT_DEATH(metrics.counter("not a name", "A.").Increment(), "");
}

} // namespace
} // namespace rbee::telemetry
