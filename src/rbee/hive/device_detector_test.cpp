#include "rbee/hive/device_detector.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <rapidcheck.h>

#include <string>

namespace rbee::hive {
namespace {

TEST(ParseNvidiaSmi, Reads_each_device) {
    const auto gpus =
        parse_nvidia_smi("0, NVIDIA GeForce RTX 3090, 24576, 23000, 8.6, 00000000:01:00.0, 41\n"
                         "1, NVIDIA H100, 81559, 81000, 9.0, 00000000:02:00.0, [N/A]\n");
    ASSERT_TRUE(gpus);
    ASSERT_EQ(gpus->size(), 2U);
    EXPECT_EQ(gpus->at(0).name, "NVIDIA GeForce RTX 3090");
    EXPECT_EQ(gpus->at(0).memory_total_bytes, 24576ULL << 20U);
    EXPECT_EQ(gpus->at(1).device, 1U);
    EXPECT_EQ(gpus->at(0).temperature_c, 41U);
    EXPECT_EQ(gpus->at(1).temperature_c, std::nullopt);
}

TEST(ParseNvidiaSmi, Free_memory_is_at_most_the_total) {
    const auto gpus = parse_nvidia_smi("0, GPU, 100, 200, 8.6, bus, 41");
    ASSERT_TRUE(gpus);
    EXPECT_EQ(gpus->at(0).memory_available_bytes, 100ULL << 20U);
}

TEST(ParseNvidiaSmi, Refuses_what_does_not_fit) {
    for (const std::string& line : {
             std::string("0, GPU, 100, 50, 8.6, bus"),
             std::string("0, GPU, 100, 50, 8.6, bus, hot"),
             std::string("0, GPU, 100, 50, 8.6, bus, 1001"),
             std::string("x, GPU, 100, 50, 8.6, bus, 41"),
             std::string("64, GPU, 100, 50, 8.6, bus, 41"),
             std::string("0, GPU, 1000001, 50, 8.6, bus, 41"),
             std::string("0, GPU, -1, 50, 8.6, bus, 41"),
             std::string("0, GPU, [N/A], 50, 8.6, bus, 41"),
             "0, " + std::string(257, 'x') + ", 100, 50, 8.6, bus, 41",
             "0, GPU, 100, 50, 8.6, " + std::string(33, 'x') + ", 41",
             std::string("0, G\x1bU, 100, 50, 8.6, bus, 41"),
             std::string("No devices were found"),
         }) {
        const auto gpus = parse_nvidia_smi("0, GPU, 100, 50, 8.6, bus, 41\n" + line);
        ASSERT_FALSE(gpus) << line;
        EXPECT_THAT(gpus.error().what, testing::HasSubstr("line 2"));
    }
}

TEST(ParseNvidiaSmi, Bounds_the_number_of_devices) {
    std::string text;
    for (int i = 0; i < 65; ++i) {
        text += "1, GPU, 100, 50, 8.6, bus, 41\n";
    }
    EXPECT_FALSE(parse_nvidia_smi(text));
    EXPECT_TRUE(parse_nvidia_smi("")->empty());
}

TEST(ParseNvidiaSmi, Survives_anything) {
    rc::check([](const std::string& text) { (void)parse_nvidia_smi(text); });
}

TEST(MergeDevices, A_gpu_is_usable_only_when_the_worker_supports_it) {
    const auto gpus = *parse_nvidia_smi("0, GPU, 100, 50, 8.6, bus, 41");
    const auto without = merge_devices(cpu_device(10, 5), gpus, {"cpu"});
    ASSERT_EQ(without.size(), 2U);
    EXPECT_TRUE(without.at(0).info.available);
    EXPECT_FALSE(without.at(1).info.available);
    EXPECT_FALSE(without.at(1).reason.empty());
    EXPECT_TRUE(merge_devices(cpu_device(10, 5), gpus, {"cpu", "cuda"}).at(1).info.available);
}

} // namespace
} // namespace rbee::hive
