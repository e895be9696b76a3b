/* Just enough JSON to read a string member of an object. Input is untrusted. */
#ifndef JSON_H
#define JSON_H

#include <stddef.h>

/* The string member `key` of the object `json`, unescaped into `out` (at most `capacity` bytes, no
 * NUL). The length, or -1 if it is missing, not a string, malformed or too long. */
long json_string(const char* json, size_t size, const char* key, char* out, size_t capacity);

#endif
