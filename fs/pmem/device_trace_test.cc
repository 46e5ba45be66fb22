// fs/pmem/device_trace_test.cc - what a tracer is told of the medium's bytes.
//
// Not under TSan: the engine calls a tracer on the traced task's stack under the host's name.
#include <array>
#include <memory>
#include <span>
#include <string>

#include <gtest/gtest.h>

#include "fs/pmem/device.h"
#include "fs/rt/testing.h"

namespace daxfs::pmem {
namespace {

// What a diagram of a lost byte is drawn from.
struct BytesListener : rt::Tracer {
  void on_scope_begin(const char* /*name*/, const ObjectRef& /*subject*/) override {}
  void on_scope_end() override {}
  void on_read(const ObjectRef& /*object*/, uint64_t /*value*/) override {}
  void on_write(const ObjectRef& /*object*/, uint64_t /*before*/, uint64_t /*now*/) override {}
  void on_name(const ObjectRef& /*object*/, const char* /*name*/, const ObjectRef& /*owner*/) override {}
  void on_bytes(const ObjectRef& object, std::span<const std::byte> before, std::span<const std::byte> now) override {
    EXPECT_EQ(object.noun, Noun::kBytes);
    EXPECT_EQ(now.size(), object.count);
    text += std::to_string(object.a) + "+" + std::to_string(object.b) + "#" + std::to_string(object.count) + ":";
    if (!before.empty()) { text += std::to_string(std::to_integer<int>(before.back())) + ">"; }
    text += std::to_string(std::to_integer<int>(now.back())) + " ";
  }
  std::string text;
};

TEST(Device, TellsATracerOldAndNewBytesBlockByBlock) {
  auto opened = Device::anonymous(1 << 20);
  ASSERT_TRUE(opened.ok());
  const std::unique_ptr<Device> device = std::move(opened).value();
  BytesListener listener;
  rt::set_tracer(&listener);
  const auto outcome = rt::run_lambda([&] {
    const std::array<std::byte, 4> sevens = {std::byte{7}, std::byte{7}, std::byte{7}, std::byte{7}};
    EXPECT_TRUE(device->store(2 * kBlockSize - 1, sevens).ok());
    EXPECT_TRUE(device->store_unscheduled(5, std::span(sevens).first(1)).ok());
    std::array<std::byte, 2> out;
    EXPECT_TRUE(device->read(2 * kBlockSize + 1, out).ok());
    EXPECT_TRUE(device->zero(0, kBlockSize).ok());
    device->trace_load(5, 1);
  });
  rt::set_tracer(nullptr);
  EXPECT_FALSE(outcome.finding.has_value());
  EXPECT_EQ(listener.text, "1+4095#1:0>7 2+0#3:0>7 0+5#1:0>7 2+1#2:7 0+0#4096:0>0 0+5#1:0 ");
}

}  // namespace
}  // namespace daxfs::pmem
