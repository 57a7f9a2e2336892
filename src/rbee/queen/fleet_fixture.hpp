#pragma once

#include "rbee/queen/fleet.hpp"

#include <gtest/gtest.h>

#include <chrono>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace rbee::queen::test {

class ManualClock final : public Clock {
public:
    [[nodiscard]] TimePoint now() const override { return now_; }
    [[nodiscard]] WallTime wall() const override {
        return WallTime(std::chrono::seconds(1'700'000'000));
    }
    void advance(Duration time) { now_ += time; }

private:
    TimePoint now_ = TimePoint(std::chrono::hours(1));
};

inline api::WorkerInfo
worker(const std::string& id, domain::WorkerState state, std::uint32_t slots = 2) {
    api::WorkerInfo info;
    info.id = id;
    info.model = "tiny";
    info.model_ref = "file:/m/tiny.gguf";
    info.backend = "cpu";
    info.state = state;
    info.slots_total = slots;
    return info;
}

inline api::HiveReport report(const std::string& hive, std::vector<api::WorkerInfo> workers) {
    api::HiveReport out;
    out.hive_id = hive;
    out.url = "http://127.0.0.1:9200";
    out.version = "0.1.0";
    out.workers = std::move(workers);
    out.models = {{"tiny", "file:/m/tiny.gguf", 1000, "available"}};
    out.ram_available_bytes = 1000;
    return out;
}

class FleetTest : public testing::Test {
protected:
    void SetUp() override {
        fleet_.on_change([this] { ++changes_; });
        fleet_.add_hive("h1", {"127.0.0.1", 9200, {}});
        fleet_.add_hive("h2", {"127.0.0.2", 9200, {}});
    }
    ManualClock clock_;
    Fleet fleet_{clock_};
    int changes_ = 0;
};

} // namespace rbee::queen::test
