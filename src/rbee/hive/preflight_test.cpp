#include "rbee/hive/preflight.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <utility>

namespace rbee::hive {
namespace {

constexpr std::uint64_t mb = 1'000'000;

Device device(std::string backend, std::uint32_t number, std::uint64_t free_mb) {
    Device out;
    out.info.backend = std::move(backend);
    out.info.device = number;
    out.info.memory_available_bytes = free_mb * mb;
    out.info.memory_total_bytes = 16'000 * mb;
    return out;
}

PreflightInput input(std::uint64_t model_mb, std::uint64_t ram_mb) {
    PreflightInput out;
    out.model_ref = "tiny";
    out.model_bytes = model_mb * mb;
    out.devices = {device("cpu", 0, ram_mb)};
    out.ram_available = ram_mb * mb;
    return out;
}

TEST(Preflight, Needs_the_size_and_a_fifth) {
    EXPECT_EQ(required_bytes(5000 * mb), 6000 * mb);
    EXPECT_EQ(*check_preflight(input(5000, 8000)), 0U);
    EXPECT_TRUE(check_preflight(input(5000, 6000)));
}

TEST(Preflight, Too_little_memory_is_refused_with_numbers_and_suggestions) {
    const auto refused = check_preflight(input(5000, 4000));
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().error.wire_code, "INSUFFICIENT_RAM");
    EXPECT_EQ(refused.error().error.code, Errc::resources);
    EXPECT_EQ(refused.error().details.at("required_mb").to_number<int>(), 6000);
    EXPECT_EQ(refused.error().details.at("available_mb").to_number<int>(), 4000);
    EXPECT_EQ(refused.error().details.at("model_ref").as_string(), "tiny");
    EXPECT_FALSE(refused.error().details.at("suggestions").as_array().empty());
}

TEST(Preflight, The_reserve_is_not_for_workers) {
    PreflightInput with_reserve = input(5000, 8000);
    with_reserve.ram_reserve = 2500 * mb;
    EXPECT_FALSE(check_preflight(with_reserve));
    with_reserve.ram_reserve = 9000 * mb;
    EXPECT_EQ(check_preflight(with_reserve).error().details.at("available_mb").to_number<int>(), 0);
}

TEST(Preflight, A_backend_that_is_not_there_is_refused_with_those_that_are) {
    PreflightInput metal = input(10, 8000);
    metal.backend = "metal";
    const auto refused = check_preflight(metal);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().error.wire_code, "BACKEND_UNAVAILABLE");
    EXPECT_EQ(refused.error().details.at("available").as_array().at(0).as_string(), "cpu");
    metal.backend = "cuda";
    EXPECT_THAT(check_preflight(metal).error().error.what, testing::HasSubstr("NVIDIA driver"));
}

TEST(Preflight, An_unusable_backend_says_why) {
    PreflightInput cuda = input(10, 8000);
    cuda.backend = "cuda";
    Device gpu = device("cuda", 0, 8000);
    gpu.info.available = false;
    gpu.reason = "no support";
    cuda.devices.push_back(gpu);
    EXPECT_THAT(check_preflight(cuda).error().error.what, testing::HasSubstr("no support"));
}

TEST(Preflight, A_device_that_is_not_there_lists_those_that_are) {
    PreflightInput wrong = input(10, 8000);
    wrong.device = 7;
    const auto refused = check_preflight(wrong);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().error.code, Errc::invalid_argument);
    EXPECT_EQ(refused.error().details.at("devices").as_array().size(), 1U);
}

TEST(Preflight, Without_a_device_the_one_with_most_free_memory_is_taken) {
    PreflightInput cuda = input(1000, 8000);
    cuda.backend = "cuda";
    cuda.devices.push_back(device("cuda", 0, 2000));
    cuda.devices.push_back(device("cuda", 1, 4000));
    EXPECT_EQ(*check_preflight(cuda), 1U);
}

TEST(Preflight, Video_memory_is_checked_too) {
    PreflightInput cuda = input(4000, 16'000);
    cuda.backend = "cuda";
    cuda.device = 0;
    cuda.devices.push_back(device("cuda", 0, 2000));
    const auto refused = check_preflight(cuda);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().error.wire_code, "INSUFFICIENT_VRAM");
    EXPECT_EQ(refused.error().details.at("available_vram_mb").to_number<int>(), 2000);
}

} // namespace
} // namespace rbee::hive
