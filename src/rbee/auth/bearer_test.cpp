#include "rbee/auth/bearer.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <chrono>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace rbee::auth {
namespace {

using namespace std::chrono_literals;

constexpr WallTime now{std::chrono::seconds(1'800'000'000)};

http::RequestHead head_with(std::optional<std::string> authorization) {
    http::RequestHead head;
    if (authorization) {
        head.headers.add("Authorization", std::move(*authorization));
    }
    return head;
}

class Bearer : public testing::Test {
protected:
    Bearer() {
        authenticator_.accept(Secret("first-token-0123456789"));
        authenticator_.accept(Secret("!#$%&'*+.^_`|~:/?=@ second"));
    }
    [[nodiscard]] Verdict check(const std::string& header) const {
        return authenticator_.check(head_with(header), now);
    }
    Authenticator authenticator_;
};

TEST_F(Bearer, AUTH_003_AUTH_012_AcceptsEachTokenInAnySchemeCase) {
    for (const char* scheme : {"Bearer ", "bearer ", "BEARER "}) {
        EXPECT_TRUE(check(std::string(scheme) + "first-token-0123456789").allowed);
    }
    const auto verdict = check("Bearer !#$%&'*+.^_`|~:/?=@ second");
    EXPECT_TRUE(verdict.allowed);
    EXPECT_EQ(verdict.principal, own_token_name);
    EXPECT_EQ(verdict.scopes, Scopes::all());
    EXPECT_EQ(verdict.actor, fingerprint("!#$%&'*+.^_`|~:/?=@ second"));
}

TEST_F(Bearer, AUTH_001_AUTH_010_AUTH_011_AUTH_016_RefusalsNameTheirReason) {
    const auto missing = authenticator_.check(head_with({}), now);
    EXPECT_EQ(missing.log_reason, "missing_header");
    EXPECT_EQ(missing.error.wire_code, "MISSING_API_KEY");
    EXPECT_EQ(missing.error.what, "Missing API key");
    for (const char* bad :
         {"first-token-0123456789",
          "Bearer  first-token-0123456789",
          "Bearerfirst-token-0123456789",
          "Bearer\tfirst-token-0123456789",
          "Basic Zmlyc3Q6dG9rZW4=",
          "Bearer a\x01z",
          "Bearer a\x7Fz"}) {
        EXPECT_EQ(check(bad).log_reason, "invalid_format") << bad;
        EXPECT_EQ(check(bad).error.what, "Invalid Authorization header format") << bad;
    }
    EXPECT_EQ(check("Bearer").log_reason, "empty_token");
    EXPECT_EQ(check("Bearer ").log_reason, "empty_token");
    EXPECT_EQ(check("Bearer ").error.wire_code, "MISSING_API_KEY");
    EXPECT_EQ(check("Bearer wrong").log_reason, "invalid_token");
    EXPECT_EQ(check("Bearer wrong").error.wire_code, "INVALID_API_KEY");
    EXPECT_EQ(check("Bearer wrong").error.what, "Invalid or missing API key");
    EXPECT_EQ(check(std::string(9000, 'x')).log_reason, "missing_header");
}

TEST_F(Bearer, TwoFieldsAreABadRequest) {
    http::RequestHead head = head_with("Bearer first-token-0123456789");
    head.headers.add("authorization", "Bearer first-token-0123456789");
    const auto verdict = authenticator_.check(head, now);
    EXPECT_FALSE(verdict.allowed);
    EXPECT_EQ(verdict.error.code, Errc::invalid_argument);
}

TEST_F(Bearer, ATokenInTheQueryIsABadRequestWhateverItsNameIsWritten) {
    for (const char* query :
         {"access_token=x", "a=1&api_key=x", "TOKEN=x", "%6bey=x", "a&key=x&b"}) {
        http::RequestHead head = head_with("Bearer first-token-0123456789");
        head.query = query;
        const auto verdict = authenticator_.check(head, now);
        EXPECT_EQ(verdict.error.code, Errc::invalid_argument) << query;
        EXPECT_EQ(verdict.log_reason, "token_in_query") << query;
    }
    for (const char* query : {"", "key", "token=", "keys=x", "model=key", "%zz=1"}) {
        http::RequestHead head = head_with("Bearer first-token-0123456789");
        head.query = query;
        EXPECT_TRUE(authenticator_.check(head, now).allowed) << query;
    }
}

TEST_F(Bearer, AUTH_007_SLIB_SE3_NothingSaysTheToken) {
    const auto verdict = check("Bearer wrong-but-secret");
    EXPECT_FALSE(verdict.error.what.contains("secret"));
    EXPECT_FALSE(verdict.actor.contains("secret"));
    EXPECT_EQ(verdict.actor, fingerprint("wrong-but-secret"));
    EXPECT_EQ(verdict.actor.size(), std::string("token:123456").size());
    EXPECT_TRUE(verdict.principal.empty());
}

TEST_F(Bearer, AMalformedTokenOfOursIsRefusedWithoutBeingHashed) {
    const auto verdict = check("Bearer rbee_abc");
    EXPECT_EQ(verdict.log_reason, "invalid_token");
    EXPECT_EQ(verdict.actor, "token:malformed");
    EXPECT_EQ(verdict.error.wire_code, "INVALID_API_KEY");
}

TEST(Authenticator, SLIB_VE4_VE5_OnlyTheWholeTokenFitsWhereverItDiffers) {
    Authenticator authenticator;
    const std::string token = "0123456789abcdefghijklmnopqrstuv";
    authenticator.accept(Secret::copy_of(token));
    for (std::size_t i = 0; i < token.size(); ++i) {
        std::string wrong = token;
        wrong[i] = 'X';
        EXPECT_FALSE(authenticator.check(head_with("Bearer " + wrong), now).allowed) << i;
        EXPECT_FALSE(authenticator.check(head_with("Bearer " + token.substr(0, i)), now).allowed)
            << i;
    }
    EXPECT_FALSE(authenticator.check(head_with("Bearer " + token + "w"), now).allowed);
    EXPECT_TRUE(authenticator.check(head_with("Bearer " + token), now).allowed);
}

TEST(Authenticator, OpensOnlyUntilItHasBeenGivenTokens) {
    Authenticator authenticator;
    const auto dev = authenticator.check(head_with({}), now);
    EXPECT_TRUE(dev.allowed);
    EXPECT_EQ(dev.actor, "dev");
    EXPECT_TRUE(authenticator.check(head_with("Bearer anything"), now).allowed);
    authenticator.replace(TokenSet());
    EXPECT_FALSE(authenticator.open());
    EXPECT_FALSE(authenticator.check(head_with({}), now).allowed);
}

TEST(Authenticator, ReplacesAcceptedTokensAtOnceAndKeepsGrantedOnes) {
    Authenticator authenticator;
    const Secret old_token("the-old-token-of-the-set");
    const Secret new_token("the-new-token-of-the-set");
    const Secret worker("token-of-a-worker-here");
    authenticator.accept(old_token);
    authenticator.grant("worker:w1", worker, {Scope::worker});
    authenticator.replace(TokenSet({make_record("laptop", new_token, {Scope::infer})}));
    EXPECT_FALSE(authenticator.check(head_with("Bearer the-old-token-of-the-set"), now).allowed);
    const auto verdict = authenticator.check(head_with("Bearer the-new-token-of-the-set"), now);
    EXPECT_EQ(verdict.principal, "laptop");
    EXPECT_EQ(verdict.scopes, Scopes{Scope::infer});
    const auto granted = authenticator.check(head_with("Bearer token-of-a-worker-here"), now);
    EXPECT_EQ(granted.principal, "worker:w1");
    EXPECT_EQ(granted.scopes, Scopes{Scope::worker});
    EXPECT_TRUE(authenticator.revoke("worker:w1"));
    EXPECT_FALSE(authenticator.revoke("worker:w1"));
    EXPECT_FALSE(authenticator.check(head_with("Bearer token-of-a-worker-here"), now).allowed);
}

TEST(Authenticator, AGrantKeepsDevModeAndIsKnownByName) {
    Authenticator authenticator;
    authenticator.grant("worker:w1", Secret("token-of-a-worker-here"), {Scope::worker});
    EXPECT_TRUE(authenticator.open());
    EXPECT_EQ(authenticator.check(head_with({}), now).principal, "dev");
    const auto verdict = authenticator.check(head_with("Bearer token-of-a-worker-here"), now);
    EXPECT_EQ(verdict.principal, "worker:w1");
}

TEST(Authenticator, TwoRecordsOfOneTokenGiveTheRightsOfTheFirst) {
    Authenticator authenticator;
    const Secret token("one-token-under-two-names");
    authenticator.replace(TokenSet({
        make_record("a", token, {Scope::infer}),
        make_record("b", token, {Scope::models}),
        make_record("c", Secret("another-token-with-power"), Scopes::all()),
    }));
    const auto verdict = authenticator.check(head_with("Bearer one-token-under-two-names"), now);
    EXPECT_EQ(verdict.principal, "a");
    EXPECT_EQ(verdict.scopes, Scopes{Scope::infer});
}

TEST(Authenticator, ExpiryIsTheFirstMomentAtWhichATokenIsNotValid) {
    Authenticator authenticator;
    TokenRecord record = make_record("short", Secret("token-that-ends-soon"), {Scope::infer});
    record.expires = now;
    authenticator.replace(TokenSet({record}));
    const auto head = head_with("Bearer token-that-ends-soon");
    EXPECT_TRUE(authenticator.check(head, now - 1ms).allowed);
    const auto verdict = authenticator.check(head, now);
    EXPECT_FALSE(verdict.allowed);
    EXPECT_EQ(verdict.log_reason, "expired_token");
    EXPECT_EQ(verdict.error.what, "Invalid or missing API key"); // as for an unknown one
}

TEST(Scopes, AdminIsEnoughForPeoplesRoutesOnly) {
    const Scopes admin{Scope::admin};
    EXPECT_TRUE(admin.allows(Scope::infer) && admin.allows(Scope::models));
    EXPECT_TRUE(admin.allows(Scope::metrics) && admin.allows(Scope::admin));
    EXPECT_FALSE(admin.allows(Scope::hive) || admin.allows(Scope::worker));
    EXPECT_FALSE(Scopes{Scope::infer}.allows(Scope::models));
}

TEST(Scopes, AreReadAndWritten) {
    EXPECT_EQ(parse_scopes("models, infer")->to_string(), "infer,models");
    EXPECT_EQ(parse_scopes("infer,models,metrics,admin,hive,worker").value(), Scopes::all());
    for (const char* wrong : {"", "infer,", "root", "Infer"}) {
        EXPECT_FALSE(parse_scopes(wrong)) << wrong;
    }
    EXPECT_FALSE(parse_scopes("top-secret").error().what.contains("top-secret"));
}

TEST(Token, NewOnesAreWellFormedAndDiffer) {
    const Secret one = make_token();
    const Secret other = make_token();
    EXPECT_THAT(
        std::string(one.expose()), testing::MatchesRegex("rbee_[0-9A-Za-z]{43}_[0-9A-Za-z]{6}")
    );
    EXPECT_TRUE(is_well_formed(one.expose()));
    EXPECT_FALSE(one.equals(other.expose()));
    EXPECT_TRUE(is_well_formed("free-form"));
    EXPECT_TRUE(is_well_formed("rbee"));
    EXPECT_FALSE(is_well_formed("rbee_"));
}

RC_GTEST_PROP(Token, OneChangedCharacterIsNoticed, ()) {
    const Secret token = make_token();
    std::string text(token.expose());
    const auto at = *rc::gen::inRange<std::size_t>(5, text.size());
    const char other = *rc::gen::inRange<char>('!', '~');
    RC_PRE(text[at] != other);
    text[at] = other;
    RC_ASSERT(!is_well_formed(text));
}

TEST(Token, FingerprintOfALongTextCountsItsBeginning) {
    const std::string base(8192, 'a');
    EXPECT_EQ(fingerprint(base + "x"), fingerprint(base + "y"));
    EXPECT_EQ(fingerprint(base + "x"), fingerprint(sha256(base + "[truncated]")));
    EXPECT_EQ(fingerprint("abc"), "token:ba7816");
}

} // namespace
} // namespace rbee::auth
