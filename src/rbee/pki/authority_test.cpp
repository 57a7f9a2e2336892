#include "rbee/pki/authority.hpp"
#include "rbee/pki/join_token.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

namespace rbee::pki {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;

const WallTime now = std::chrono::sys_days(std::chrono::year(2026) / 3 / 1) + 12h;

Authority make_authority() {
    auto made = Authority::create("test CA", now);
    EXPECT_TRUE(made.has_value());
    return std::move(*made);
}

TEST(Authority, MakesACertificateThatMaySignForTenYears) {
    const Authority authority = make_authority();
    const auto info = inspect(authority.certificate());
    ASSERT_TRUE(info.has_value());
    EXPECT_TRUE(info->authority);
    EXPECT_EQ(info->fingerprint, authority.fingerprint());
    EXPECT_LE(info->not_before, now);
    EXPECT_EQ(info->not_after, now + authority_lifetime);
}

TEST(Authority, IssuesForNamesAndAddressesForAYear) {
    const Authority authority = make_authority();
    const auto key = Key::generate();
    const Subject subject{"queen:rbee", {"Queen.LAN", "10.0.0.7", "::1"}};
    const auto pem = authority.issue(*key, subject, now);
    ASSERT_TRUE(pem.has_value());
    EXPECT_TRUE(pem->ends_with(authority.certificate())) << "the CA must be behind the leaf";
    const auto info = inspect(*pem);
    ASSERT_TRUE(info.has_value());
    EXPECT_FALSE(info->authority);
    EXPECT_EQ(info->uri, "queen:rbee");
    EXPECT_THAT(info->hosts, ElementsAre("queen.lan", "10.0.0.7", "::1"));
    EXPECT_EQ(info->not_after, now + certificate_lifetime);
}

TEST(Authority, SerialsDiffer) {
    const Authority authority = make_authority();
    const auto key = Key::generate();
    EXPECT_NE(
        inspect(*authority.issue(*key, {"hive:a", {}}, now))->fingerprint,
        inspect(*authority.issue(*key, {"hive:a", {}}, now))->fingerprint
    );
}

TEST(Authority, SignsARequestWithItsOwnWordsOnly) {
    const Authority authority = make_authority();
    const auto key = Key::generate();
    const auto request = make_request(*key);
    ASSERT_TRUE(request.has_value());
    const auto pem = authority.sign(*request, {"hive:attic", {"attic.lan"}}, now);
    ASSERT_TRUE(pem.has_value());
    EXPECT_EQ(inspect(*pem)->uri, "hive:attic");
    EXPECT_THAT(inspect(*pem)->hosts, ElementsAre("attic.lan"));
}

TEST(Authority, RefusesRequestsThatAreNotGood) {
    const Authority authority = make_authority();
    const auto key = Key::generate();
    std::string changed = *make_request(*key);
    // Near the end of the base64 text is the signature.
    const auto place = changed.find("-----END") - 20;
    changed[place] = changed[place] == 'A' ? 'B' : 'A';
    for (const std::string& bad :
         {std::string(), std::string("hello"), changed, authority.certificate()}) {
        const auto signed_ = authority.sign(bad, {"hive:attic", {}}, now);
        ASSERT_FALSE(signed_.has_value());
        EXPECT_EQ(signed_.error().code, Errc::invalid_argument);
    }
}

TEST(Authority, RefusesNamesThatAreNoHosts) {
    const Authority authority = make_authority();
    const auto key = Key::generate();
    for (const char* bad : {"", "*", "*.lan", "a b", "a,IP:1.2.3.4", "-a", "a..b", "a/b", "a:80"}) {
        EXPECT_FALSE(authority.issue(*key, {"hive:attic", {bad}}, now).has_value()) << bad;
        EXPECT_FALSE(check_host(bad).has_value()) << bad;
    }
    EXPECT_FALSE(check_host(std::string(254, 'a')).has_value());
    EXPECT_FALSE(check_host(std::string(64, 'a')).has_value());
    EXPECT_TRUE(check_host("my_machine-1.lan").has_value());
}

TEST(Authority, ComesBackFromItsFiles) {
    const Authority authority = make_authority();
    const auto again = Authority::from_pem(authority.certificate(), authority.key().to_pem());
    ASSERT_TRUE(again.has_value());
    EXPECT_EQ(again->fingerprint(), authority.fingerprint());
}

TEST(Authority, RefusesFilesThatDoNotBelongTogether) {
    const Authority authority = make_authority();
    const Authority other = make_authority();
    const auto leaf_key = Key::generate();
    const auto leaf = authority.issue(*leaf_key, {"hive:attic", {}}, now);
    const auto code = [](std::string_view certificate, const Secret& key) {
        const auto made = Authority::from_pem(certificate, key);
        return made ? Errc::internal : made.error().code;
    };
    EXPECT_EQ(code(authority.certificate(), other.key().to_pem()), Errc::corrupt);
    EXPECT_EQ(code(*leaf, leaf_key->to_pem()), Errc::corrupt) << "a leaf must not sign";
    EXPECT_EQ(code("", authority.key().to_pem()), Errc::corrupt);
    EXPECT_EQ(code(authority.certificate(), Secret("nonsense")), Errc::corrupt);
}

TEST(Authority, MessagesNeverCarryTheKey) {
    const auto bad = Key::from_pem(Secret("-----BEGIN PRIVATE KEY-----\nhunter2\n"));
    ASSERT_FALSE(bad.has_value());
    EXPECT_THAT(bad.error().what, testing::Not(testing::HasSubstr("hunter2")));
}

TEST(JoinToken, CarriesTheDigestOfItsCa) {
    const Authority authority = make_authority();
    const Secret token = make_join_token(authority.fingerprint());
    const Secret other = make_join_token(authority.fingerprint());
    EXPECT_NE(token.expose(), other.expose());
    ASSERT_TRUE(pinned_authority(token).has_value());
    EXPECT_EQ(*pinned_authority(token), authority.fingerprint());
}

TEST(JoinToken, RefusesTextThatIsCutOrChangedWithoutRepeatingIt) {
    const std::string whole(make_join_token(make_authority().fingerprint()).expose());
    for (const std::string& bad :
         {std::string(),
          whole.substr(1),
          whole.substr(0, whole.size() - 1),
          whole + "0",
          whole.substr(0, whole.size() - 1) + "G",
          "evil" + whole.substr(4)}) {
        const auto pin = pinned_authority(Secret(std::string(bad)));
        ASSERT_FALSE(pin.has_value()) << bad;
        EXPECT_FALSE(pin.error().what.contains("evil"));
    }
}

} // namespace
} // namespace rbee::pki
