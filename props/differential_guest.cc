// props/differential_guest.cc - the test's end of the mailbox.
#include "props/differential_guest.h"

#include <cstring>

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "fuzz/prog/binary.h"

namespace daxfuzz::props {
namespace {

// Where ci/kernel-guest puts the persistent memory.
constexpr off_t kMemoryAt = off_t{512} << 20;
constexpr size_t kMemorySize = size_t{64} << 20;

void* map_file(const std::string& path, size_t size, off_t offset) {
  const int fd = open(path.c_str(), O_RDWR | O_CLOEXEC);
  if (fd < 0) { return nullptr; }
  void* const mapped = mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, offset);
  close(fd);
  return mapped == MAP_FAILED ? nullptr : mapped;
}

Tree parse_tree(const char* text, size_t size) {
  Tree tree;
  for (const char* const end = text + size; text < end; text += std::strlen(text) + 1) {
    TreeEntry entry;
    unsigned long long links = 0, bytes = 0, hash = 0;
    int length = 0;
    if (std::sscanf(text, "%c %llu %llu %llu %n", &entry.type, &links, &bytes, &hash, &length) != 4) { break; }
    entry.links = links;
    entry.size = bytes;
    entry.contents_hash = hash;
    tree[text + length] = entry;
  }
  return tree;
}

}  // namespace

GuestKernel::GuestKernel(const std::string& folder) {
  memory_ = static_cast<std::byte*>(map_file(folder + "/ram", kMemorySize, kMemoryAt));
  box_ = static_cast<GuestMailbox*>(map_file(folder + "/mailbox", GuestMailbox::kSize, 0));
  if (memory_ == nullptr || box_ == nullptr) { error_ = "no virtual machine in " + folder; }
}

GuestKernel::~GuestKernel() {
  if (memory_ != nullptr) { munmap(memory_, kMemorySize); }
  if (box_ != nullptr) { munmap(box_, GuestMailbox::kSize); }
}

bool GuestKernel::order(std::span<const std::byte> image, const std::string& mount, Tree* tree) {
  if (image.size() > kMemorySize || mount.size() >= sizeof(box_->mount_options)) {
    error_ = "image or mount options are too large";
    return false;
  }
  std::memcpy(memory_, image.data(), image.size());
  std::memcpy(box_->mount_options, mount.c_str(), mount.size() + 1);
  const uint64_t number = box_->asked.load() + 1;
  box_->asked.store(number);
  for (unsigned waited = 0; box_->answered.load() != number; ++waited) {
    if (waited > 1'200'000) {
      error_ = "the virtual machine does not answer";
      return false;
    }
    usleep(100);
  }
  if (box_->mount_error != 0) {
    error_ = std::string("the virtual machine does not mount it: ") + std::strerror(box_->mount_error);
    return false;
  }
  *tree = parse_tree(box_->area<const char>(GuestMailbox::kTreeAt), box_->tree_bytes);
  return true;
}

bool GuestKernel::run(std::span<const std::byte> image, const std::string& mount, const prog::Program& program,
                      std::span<const uint64_t> addresses, std::vector<Answer>* answers, Tree* tree) {
  const std::vector<uint8_t> bytes = prog::encode(program);
  if (prog::decode(bytes) != program) {
    error_ = "the program is not what its bytes say";
    return false;
  }
  const size_t count = count_operations(program);
  if (bytes.size() > GuestMailbox::kProgramMax || addresses.size_bytes() > GuestMailbox::kAddressesMax ||
      (count + 1) * sizeof(Answer) > GuestMailbox::kAnswersMax) {
    error_ = "the program is too large";
    return false;
  }
  std::memcpy(box_->area<void>(GuestMailbox::kProgramAt), bytes.data(), bytes.size());
  std::memcpy(box_->area<void>(GuestMailbox::kAddressesAt), addresses.data(), addresses.size_bytes());
  box_->kind = GuestMailbox::kRun;
  box_->program_bytes = static_cast<uint32_t>(bytes.size());
  box_->addresses = static_cast<uint32_t>(addresses.size());
  if (!order(image, mount, tree)) { return false; }
  const Answer* const first = box_->area<const Answer>(GuestMailbox::kAnswersAt);
  answers->assign(first, first + count);
  return true;
}

bool GuestKernel::read(std::span<const std::byte> image, Tree* tree) {
  box_->kind = GuestMailbox::kTreeOnly;
  return order(image, "", tree);
}

}  // namespace daxfuzz::props
