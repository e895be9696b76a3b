# Turns manifest.json into C: an ELF note (owner "Palyra", type 1) and palyra_manifest_json for the
# descriptor. Called by palyra_add_plugin with MANIFEST and OUTPUT.
file(READ ${MANIFEST} text)
string(JSON id ERROR_VARIABLE problem GET "${text}" id)
if(problem)
  message(FATAL_ERROR "${MANIFEST}: ${problem}")
endif()
file(READ ${MANIFEST} hex HEX)
string(LENGTH "${hex}" digits)
math(EXPR size "${digits} / 2")
string(REGEX REPLACE "(..)" "0x\\1," bytes "${hex}")
file(WRITE ${OUTPUT} "/* Made from ${id}'s manifest.json. */
#include \"palyra/manifest.h\"

__attribute__((used, aligned(4), section(\".note.palyra\"))) static const struct {
  uint32_t name_size, text_size, type;
  char name[8];
  unsigned char text[(${size} + 3) / 4 * 4];
} note = {7, ${size}, PALYRA_NOTE_MANIFEST, PALYRA_NOTE_OWNER, {${bytes}}};

const palyra_str palyra_manifest_json = {(const char *)note.text, ${size}};
")
