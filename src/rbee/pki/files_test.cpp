#include "rbee/auth/secret_file.hpp"
#include "rbee/pki/files.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <string>

namespace rbee::pki {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;

const WallTime now = std::chrono::sys_days(std::chrono::year(2026) / 3 / 1);

class Files : public testing::Test {
protected:
    Files() {
        std::string form = testing::TempDir() + "rbee-pki-XXXXXX";
        folder_.path = std::filesystem::path(::mkdtemp(form.data())) / "a" / "pki";
    }
    ~Files() override { std::filesystem::remove_all(folder_.path.parent_path().parent_path()); }

    static unsigned mode_of(const std::filesystem::path& path) {
        struct stat info{};
        EXPECT_EQ(::stat(path.c_str(), &info), 0) << path;
        return info.st_mode & 07777U;
    }

    Folder folder_;
};

TEST_F(Files, MakesEverythingForItsOwnerOnly) {
    ASSERT_TRUE(make_folder(folder_, {"queen.lan", "127.0.0.1"}, now).has_value());
    EXPECT_EQ(mode_of(folder_.path), 0700U);
    for (const auto& file :
         {folder_.ca_certificate(), folder_.ca_key(), folder_.certificate(), folder_.key()}) {
        EXPECT_EQ(mode_of(file), 0600U) << file;
    }
    const auto info = inspect(*read_certificate_file(folder_.certificate()));
    ASSERT_TRUE(info.has_value());
    EXPECT_EQ(info->uri, queen_uri);
    EXPECT_THAT(info->hosts, testing::ElementsAre("queen.lan", "127.0.0.1"));
    EXPECT_TRUE(folder_.authority().has_value());
}

TEST_F(Files, NeverOverwrites) {
    ASSERT_TRUE(make_folder(folder_, {"queen.lan"}, now).has_value());
    const auto before = read_key_file(folder_.ca_key());
    const auto again = make_folder(folder_, {"queen.lan"}, now);
    ASSERT_FALSE(again.has_value());
    EXPECT_EQ(again.error().code, Errc::conflict);
    EXPECT_EQ(read_key_file(folder_.ca_key())->expose(), before->expose());
}

TEST_F(Files, MakesNothingForABadHost) {
    EXPECT_FALSE(make_folder(folder_, {"queen.lan", "*.lan"}, now).has_value());
    EXPECT_FALSE(std::filesystem::exists(folder_.path));
}

TEST_F(Files, RenewsTheCertificateWithTheSameNames) {
    ASSERT_TRUE(make_folder(folder_, {"queen.lan"}, now).has_value());
    const auto before = inspect(*read_certificate_file(folder_.certificate()));
    ASSERT_TRUE(renew_certificate(folder_, {}, now + 48h).has_value());
    const auto after = inspect(*read_certificate_file(folder_.certificate()));
    EXPECT_EQ(after->hosts, before->hosts);
    EXPECT_NE(after->fingerprint, before->fingerprint);
    EXPECT_EQ(after->not_after, now + 48h + certificate_lifetime);
}

TEST_F(Files, ACaThatIsMissingOrBrokenIsNamed) {
    const auto missing = folder_.authority();
    ASSERT_FALSE(missing.has_value());
    EXPECT_THAT(missing.error().what, HasSubstr("rbee pki init"));
    ASSERT_TRUE(make_folder(folder_, {"queen.lan"}, now).has_value());
    ASSERT_TRUE(auth::write_secret_file(folder_.ca_key(), "broken").has_value());
    const auto broken = folder_.authority();
    ASSERT_FALSE(broken.has_value());
    EXPECT_THAT(broken.error().what, HasSubstr(folder_.path.string()));
}

} // namespace
} // namespace rbee::pki
