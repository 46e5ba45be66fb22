// fuzz/residual/page_test.cc - what people and scripts are told.
#include <memory>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "fuzz/residual/summary.h"
#include "fuzz/residual/testing.h"

namespace daxfuzz::residual {
namespace {

Residual example() {
  auto table = std::make_unique<OrderTable>();
  table->runs = 9;
  table->runs_of_pair[kOpen][kMmap] = table->runs_of_pair[kMmap][kOpen] = 8;
  for (uint32_t i = 0; i < 5; ++i) { table->add({i, 77, kOpen, kMmap}); }
  table->add({1, 77, kOpen, kMmap});
  return residual(*table);
}

TEST(Summary, SaysWhatWasSeenWhatIsLeftAndWhere) {
  const std::string text = summary(example());
  EXPECT_NE(text.find("5 seen in 9 sampled runs, at least 3 more"), std::string::npos) << text;
  EXPECT_NE(text.find("least explored: open, then mmap (5 seen"), std::string::npos) << text;
  EXPECT_EQ(text.back(), '\n');
}

TEST(Summary, JsonHasThePairAndThoseThatNeverMet) {
  const nlohmann::json json = to_json(example());
  ASSERT_EQ(2u, json["pairs"].size());
  const nlohmann::json& pair = json["pairs"][0];
  EXPECT_EQ("open", pair["first"]);
  EXPECT_EQ("mmap", pair["then"]);
  EXPECT_EQ(5, pair["orders"]);
  EXPECT_EQ(4, pair["once"]);
  EXPECT_EQ(0, json["pairs"][1]["orders"]);  // mmap, then open
  EXPECT_EQ(json["pairs_never_together"], json["never_together"].size());
}

TEST(Page, HasACellForEachPairAndNeedsNothingFromElsewhere) {
  const std::string html = page(example());
  size_t cells = 0;
  for (size_t at = html.find("title=\""); at != std::string::npos; at = html.find("title=\"", at + 1)) { ++cells; }
  EXPECT_EQ(prog::kOpCount * prog::kOpCount, cells);
  EXPECT_NE(html.find("open, then mmap: 5 orders seen in 8 runs together"), std::string::npos);
  EXPECT_EQ(html.find("http"), std::string::npos);
  EXPECT_EQ(html.find("<script"), std::string::npos);
  EXPECT_NE(html.find("prefers-color-scheme: dark"), std::string::npos);
  EXPECT_EQ(html.find("nan"), std::string::npos);
}

TEST(Page, IsThereWhenNothingWasSampled) {
  auto table = std::make_unique<OrderTable>();
  EXPECT_NE(page(residual(*table)).find("never ran together"), std::string::npos);
  EXPECT_NE(summary(residual(*table)).find("0 seen in 0 sampled runs"), std::string::npos);
}

}  // namespace
}  // namespace daxfuzz::residual
