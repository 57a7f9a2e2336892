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

TEST(Preflight, A_hot_gpu_gets_no_worker_until_it_has_cooled_down) {
    PreflightInput cuda = input(1000, 16'000);
    cuda.backend = "cuda";
    cuda.devices.push_back(device("cuda", 0, 8000));
    cuda.devices.back().info.temperature_c = 85;
    const auto refused = check_preflight(cuda);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().error.wire_code, "GPU_TOO_HOT");
    EXPECT_THAT(refused.error().error.what, testing::HasSubstr("85 °C, the limit is 80 °C; wait"));
    EXPECT_EQ(refused.error().details.at("temperature_c").to_number<int>(), 85);
    EXPECT_EQ(refused.error().details.at("limit_c").to_number<int>(), 80);
    cuda.devices.back().info.temperature_c = 80;
    EXPECT_TRUE(check_preflight(cuda));
    cuda.devices.back().info.temperature_c.reset(); // it tells none
    EXPECT_TRUE(check_preflight(cuda));
}

TEST(Preflight, Too_little_disk_is_refused_with_what_to_free) {
    PreflightInput full = input(10, 8000);
    full.disk_required = 110 * mb;
    full.disk_available = 70 * mb;
    const auto refused = check_preflight(full);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().error.wire_code, "INSUFFICIENT_DISK");
    EXPECT_EQ(refused.error().details.at("required_mb").to_number<int>(), 110);
    EXPECT_EQ(refused.error().details.at("available_mb").to_number<int>(), 70);
    EXPECT_EQ(refused.error().details.at("to_free_mb").to_number<int>(), 40);
    full.disk_available = 110 * mb;
    EXPECT_TRUE(check_preflight(full));
}

TEST(Preflight, A_worker_that_could_not_live_within_its_limit_is_not_started) {
    PreflightInput limited = input(5000, 16'000);
    limited.ram_limit = 5999 * mb;
    const auto refused = check_preflight(limited);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().error.wire_code, "INSUFFICIENT_RAM");
    EXPECT_THAT(refused.error().error.what, testing::HasSubstr("at most 5999 MB"));
    EXPECT_EQ(refused.error().details.at("available_mb").to_number<int>(), 5999);
    limited.ram_limit = 6000 * mb;
    EXPECT_TRUE(check_preflight(limited));
}

TEST(Preflight, Memory_that_went_since_the_request_is_explained) {
    PreflightInput now = input(5000, 5900);
    const auto refused = check_ram_again(now, 8000 * mb);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().error.wire_code, "INSUFFICIENT_RAM");
    EXPECT_THAT(refused.error().error.what, testing::HasSubstr("needs 6000 MB, 5900 MB are free"));
    EXPECT_THAT(refused.error().error.what, testing::HasSubstr("8000 MB were when"));
    EXPECT_EQ(refused.error().details.at("available_before_mb").to_number<int>(), 8000);
    now.ram_available = 6000 * mb;
    EXPECT_TRUE(check_ram_again(now, 8000 * mb));
}

} // namespace
} // namespace rbee::hive
