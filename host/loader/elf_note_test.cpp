// SPDX-License-Identifier: Apache-2.0
#include "host/loader/elf_note.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <cstring>
#include <elf.h>
#include <fstream>
#include <iterator>
#include <random>

namespace palyra::host {
namespace {

std::string real_plugin() {
  const std::string path =
      std::string(std::getenv("PALYRA_BUILD_DIR")) + "/tests/host-plugins/test_hello.so";
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

// A minimal ELF file with one PT_NOTE segment that holds `notes`.
std::string elf_with(const std::string& notes) {
  Elf64_Ehdr header = {};
  std::memcpy(header.e_ident, ELFMAG, SELFMAG);
  header.e_ident[EI_CLASS] = ELFCLASS64;
  header.e_ident[EI_DATA] = ELFDATA2LSB;
  header.e_type = ET_DYN;
  header.e_phoff = sizeof(header);
  header.e_phentsize = sizeof(Elf64_Phdr);
  header.e_phnum = 1;
  Elf64_Phdr segment = {};
  segment.p_type = PT_NOTE;
  segment.p_offset = sizeof(header) + sizeof(segment);
  segment.p_filesz = notes.size();
  segment.p_align = 4;
  return std::string(reinterpret_cast<const char*>(&header), sizeof(header)) +
         std::string(reinterpret_cast<const char*>(&segment), sizeof(segment)) + notes;
}

std::string note(std::string owner, uint32_t type, std::string text) {
  const Elf64_Nhdr header = {static_cast<uint32_t>(owner.size()),
                             static_cast<uint32_t>(text.size()), type};
  owner.resize((owner.size() + 3) / 4 * 4);
  text.resize((text.size() + 3) / 4 * 4);
  return std::string(reinterpret_cast<const char*>(&header), sizeof(header)) + owner + text;
}

const std::string kOwner("Palyra\0", 7);

TEST(ElfNote, ARealPluginTellsItsManifest) {
  const auto manifest = read_manifest_note(real_plugin());
  ASSERT_TRUE(manifest.ok()) << manifest.status().message();
  EXPECT_NE(manifest->find("dev.palyra.test.hello"), std::string::npos);
}

TEST(ElfNote, OtherNotesAreSkipped) {
  const auto found =
      read_manifest_note(elf_with(note(std::string("GNU\0", 4), 1, "abc") +
                                  note(kOwner, 2, "other type") + note(kOwner, 1, "{}")));
  ASSERT_TRUE(found.ok()) << found.status().message();
  EXPECT_EQ(*found, "{}");
  EXPECT_EQ(read_manifest_note(elf_with(note(kOwner, 2, "x"))).status().code(), Code::kNotFound);
  EXPECT_EQ(read_manifest_note(elf_with("")).status().code(), Code::kNotFound);
}

TEST(ElfNote, SizesThatReachBeyondTheFileAreRefused) {
  for (const uint32_t size : {100u, 0x7FFFFFFFu, 0xFFFFFFFFu}) {
    for (const size_t field : {size_t{0}, sizeof(uint32_t)}) {
      std::string notes = note(kOwner, 1, "{}");
      std::memcpy(notes.data() + field, &size, sizeof(size));
      EXPECT_FALSE(read_manifest_note(elf_with(notes)).ok());
    }
  }
  std::string file = elf_with(note(kOwner, 1, "{}"));
  const uint64_t huge = UINT64_MAX - 8;
  for (const size_t field : {offsetof(Elf64_Phdr, p_offset), offsetof(Elf64_Phdr, p_filesz)}) {
    std::string bad = file;
    std::memcpy(bad.data() + sizeof(Elf64_Ehdr) + field, &huge, sizeof(huge));
    EXPECT_EQ(read_manifest_note(bad).status().code(), Code::kInvalidArgument);
  }
  std::memcpy(file.data() + offsetof(Elf64_Ehdr, e_phoff), &huge, sizeof(huge));
  EXPECT_EQ(read_manifest_note(file).status().code(), Code::kInvalidArgument);
}

TEST(ElfNote, EveryTruncationOfAFileIsAnErrorAndNoCrash) {
  const std::string file = elf_with(note(kOwner, 1, "{\"id\": 1}"));
  ASSERT_TRUE(read_manifest_note(file).ok());
  for (size_t size = 0; size < file.size() - 3; ++size) {
    // A heap copy of exactly this size, so that the sanitizer sees any read beyond it.
    const std::vector<char> cut(file.begin(), file.begin() + static_cast<ptrdiff_t>(size));
    EXPECT_FALSE(read_manifest_note(std::string_view(cut.data(), cut.size())).ok()) << size;
  }
}

TEST(ElfNote, RandomDamageNeverCrashes) {
  const unsigned seed = std::random_device{}();
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937 random(seed);
  const std::string file = elf_with(note(std::string("GNU\0", 4), 1, "ab") + note(kOwner, 1, "{}"));
  size_t refused = 0;
  for (int round = 0; round < 20'000; ++round) {
    std::vector<char> damaged(file.begin(), file.end());
    for (unsigned i = 0; i <= random() % 4; ++i) {
      damaged[random() % damaged.size()] = static_cast<char>(random());
    }
    refused += read_manifest_note(std::string_view(damaged.data(), damaged.size())).ok() ? 0 : 1;
  }
  EXPECT_GT(refused, 0u);
}

TEST(ElfNote, WhatIsNoRegularFileIsRefused) {
  EXPECT_FALSE(read_manifest_file("/").ok());
  EXPECT_FALSE(read_manifest_file("/dev/zero").ok());
  EXPECT_FALSE(read_manifest_file("/no/such/file").ok());
}

}  // namespace
}  // namespace palyra::host
