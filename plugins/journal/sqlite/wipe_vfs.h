// The system's files, but what pages of a database no longer hold is not in the file either.
#pragma once

namespace palyra::journal::sqlite {

// Name of an SQLite VFS that is the default one, except that the unallocated space of a B-tree
// page, between its cell pointers and its cells, is written to a database as zeros. SQLite's
// `secure_delete` overwrites the cells that are deleted, but where cells have been moved from page
// to page to balance a tree their old bytes stay in that space, of rows that may be erased later.
// Copies in the write-ahead log go when it is cleared. (https://sqlite.org/fileformat2.html, 1.6)
//
// For auto-vacuum databases with pages of kPageSize, as every store is made, up to kMostWiped
// bytes: in larger ones another kind of page could be taken for a B-tree's. Registered at the first
// call. [any]
const char* wipe_vfs();

// A page that is no B-tree's begins with the number of another page, whose first byte is as a
// B-tree page's only from page 2^25 on (128 GiB). Half of it, as pages are numbered before they
// are written, and the size is looked at once between two syncs.
constexpr long long kMostWiped = 64LL << 30;

}  // namespace palyra::journal::sqlite
