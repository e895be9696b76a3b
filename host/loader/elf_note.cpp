// SPDX-License-Identifier: Apache-2.0
#include "host/loader/elf_note.h"

#include <cerrno>
#include <cstring>
#include <elf.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <vector>

namespace palyra::host {
namespace {

constexpr uint64_t kMaxNotes = uint64_t{4} << 20;  // bytes of one PT_NOTE segment
constexpr std::string_view kOwner(PALYRA_NOTE_OWNER, sizeof(PALYRA_NOTE_OWNER));  // with its NUL

Status damaged(const char* what) {
  return {Code::kInvalidArgument, std::string("is not a loadable plugin: ") + what};
}

uint64_t aligned(uint64_t size, uint64_t alignment) {
  return (size + alignment - 1) / alignment * alignment;
}

// Notes are (name size, text size, type, name, text), name and text padded. GNU tools pad to 4
// unless the segment says 8. Sizes are 32 bits wide, so sums of them do not overflow 64.
const char* find_note(std::string_view notes, uint64_t alignment, std::string_view* text) {
  uint64_t at = 0;
  while (notes.size() - at >= sizeof(Elf64_Nhdr)) {
    Elf64_Nhdr header;
    std::memcpy(&header, notes.data() + at, sizeof(header));
    const uint64_t name_at = at + sizeof(header);
    const uint64_t text_at = name_at + aligned(header.n_namesz, alignment);
    const uint64_t end = text_at + header.n_descsz;
    if (name_at + header.n_namesz > notes.size() || end > notes.size()) {
      return "a note reaches beyond its segment";
    }
    if (header.n_type == PALYRA_NOTE_MANIFEST && notes.substr(name_at, header.n_namesz) == kOwner) {
      *text = notes.substr(text_at, header.n_descsz);
      return nullptr;
    }
    at = aligned(end, alignment);
    if (at > notes.size()) break;
  }
  return nullptr;
}

}  // namespace

Result<std::string> read_manifest_note(const ReadAt& read_at, uint64_t file_size) {
  Elf64_Ehdr header;
  if (file_size < sizeof(header) || !read_at(0, sizeof(header), &header)) {
    return damaged("it is too short for an ELF file");
  }
  if (std::memcmp(header.e_ident, ELFMAG, SELFMAG) != 0) return damaged("it is not an ELF file");
  if (header.e_ident[EI_CLASS] != ELFCLASS64 || header.e_ident[EI_DATA] != ELFDATA2LSB) {
    return damaged("it is not a 64-bit little-endian ELF file");
  }
  if (header.e_type != ET_DYN) return damaged("it is not a shared library");
  if (header.e_phentsize != sizeof(Elf64_Phdr)) return damaged("its program headers are damaged");
  const uint64_t table_size = uint64_t{header.e_phnum} * sizeof(Elf64_Phdr);
  if (header.e_phoff > file_size || table_size > file_size - header.e_phoff) {
    return damaged("its program headers lie outside the file");
  }
  std::vector<Elf64_Phdr> segments(header.e_phnum);
  if (table_size != 0 && !read_at(header.e_phoff, table_size, segments.data())) {
    return damaged("its program headers cannot be read");
  }
  for (const auto& segment : segments) {
    if (segment.p_type != PT_NOTE) continue;
    if (segment.p_filesz > kMaxNotes) return damaged("its notes are larger than 4 MiB");
    if (segment.p_offset > file_size || segment.p_filesz > file_size - segment.p_offset) {
      return damaged("its notes lie outside the file");
    }
    std::string notes(segment.p_filesz, '\0');
    if (!notes.empty() && !read_at(segment.p_offset, notes.size(), notes.data())) {
      return damaged("its notes cannot be read");
    }
    std::string_view text;
    const uint64_t alignment = segment.p_align == 8 ? 8 : 4;
    if (const char* problem = find_note(notes, alignment, &text)) return damaged(problem);
    if (text.data() != nullptr) return std::string(text);
  }
  return Status(Code::kNotFound,
                "is not a Palyra plugin: it has no manifest note; build it with palyra_add_plugin");
}

Result<std::string> read_manifest_note(std::string_view file) {
  return read_manifest_note(
      [file](uint64_t offset, size_t size, void* out) {
        if (offset > file.size() || size > file.size() - offset) return false;
        std::memcpy(out, file.data() + offset, size);
        return true;
      },
      file.size());
}

Result<std::string> read_manifest_file(const std::filesystem::path& path) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  struct stat info = {};
  if (fd < 0 || ::fstat(fd, &info) != 0) {
    const Status status(Code::kUnavailable, std::string("cannot be opened: ") + strerror(errno));
    if (fd >= 0) ::close(fd);
    return status;
  }
  if (!S_ISREG(info.st_mode)) {
    ::close(fd);
    return damaged("it is not a regular file");
  }
  auto manifest = read_manifest_note(
      [fd](uint64_t offset, size_t size, void* out) {
        auto* at = static_cast<char*>(out);
        while (size > 0) {
          const ssize_t count = ::pread(fd, at, size, static_cast<off_t>(offset));
          if (count < 0 && errno == EINTR) continue;
          if (count <= 0) return false;
          at += count;
          offset += static_cast<uint64_t>(count);
          size -= static_cast<size_t>(count);
        }
        return true;
      },
      static_cast<uint64_t>(info.st_size));
  ::close(fd);
  return manifest;
}

}  // namespace palyra::host
