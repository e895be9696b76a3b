#include "json.h"

#include <string.h>

struct reader {
  const char *at, *end;
};

static void skip_space(struct reader* r) {
  while (r->at < r->end && strchr(" \t\r\n", *r->at) != NULL && *r->at != '\0') ++r->at;
}

static long hex4(struct reader* r) {
  long value = 0;
  int i;
  if (r->end - r->at < 4) return -1;
  for (i = 0; i < 4; ++i) {
    const char c = *r->at++;
    const char* digits = "0123456789abcdef";
    const char* digit = c == '\0' ? NULL : strchr(digits, c >= 'A' && c <= 'F' ? c + 32 : c);
    if (digit == NULL) return -1;
    value = value * 16 + (digit - digits);
  }
  return value;
}

static int put(char* out, size_t capacity, size_t* size, long byte) {
  if (*size >= capacity) return 0;
  if (out != NULL) out[*size] = (char)byte;
  ++*size;
  return 1;
}

static int put_utf8(char* out, size_t capacity, size_t* size, long c) {
  if (c < 0x80) return put(out, capacity, size, c);
  if (c < 0x800)
    return put(out, capacity, size, 0xC0 | c >> 6) && put(out, capacity, size, 0x80 | (c & 63));
  if (c < 0x10000)
    return put(out, capacity, size, 0xE0 | c >> 12) &&
           put(out, capacity, size, 0x80 | (c >> 6 & 63)) &&
           put(out, capacity, size, 0x80 | (c & 63));
  return put(out, capacity, size, 0xF0 | c >> 18) &&
         put(out, capacity, size, 0x80 | (c >> 12 & 63)) &&
         put(out, capacity, size, 0x80 | (c >> 6 & 63)) &&
         put(out, capacity, size, 0x80 | (c & 63));
}

/* Reads a string, the opening quote included. `out` NULL = skip it. */
static long read_string(struct reader* r, char* out, size_t capacity) {
  size_t size = 0;
  if (r->at >= r->end || *r->at++ != '"') return -1;
  while (r->at < r->end) {
    long c = (unsigned char)*r->at++;
    if (c == '"') return (long)size;
    if (c < 0x20) return -1;
    if (c != '\\') {
      if (!put(out, capacity, &size, c)) return -1;
      continue;
    }
    if (r->at >= r->end) return -1;
    switch (*r->at++) {
      case '"':
        c = '"';
        break;
      case '\\':
        c = '\\';
        break;
      case '/':
        c = '/';
        break;
      case 'b':
        c = '\b';
        break;
      case 'f':
        c = '\f';
        break;
      case 'n':
        c = '\n';
        break;
      case 'r':
        c = '\r';
        break;
      case 't':
        c = '\t';
        break;
      case 'u':
        c = hex4(r);
        if (c >= 0xD800 && c < 0xDC00 && r->end - r->at >= 6 && r->at[0] == '\\' &&
            r->at[1] == 'u') {
          long low;
          r->at += 2;
          low = hex4(r);
          if (low < 0xDC00 || low > 0xDFFF) return -1;
          c = 0x10000 + ((c - 0xD800) << 10) + (low - 0xDC00);
        } else if (c < 0 || (c >= 0xD800 && c <= 0xDFFF)) {
          return -1;
        }
        break;
      default:
        return -1;
    }
    if (!put_utf8(out, capacity, &size, c)) return -1;
  }
  return -1;
}

/* Skips one value of any kind. Nesting is counted, not checked: brackets inside strings are skipped
 * with their string. */
static int skip_value(struct reader* r) {
  long depth = 0;
  skip_space(r);
  do {
    if (r->at >= r->end) return 0;
    if (*r->at == '"') {
      if (read_string(r, NULL, (size_t)-1) < 0) return 0;
    } else if (*r->at == '{' || *r->at == '[') {
      ++depth, ++r->at;
    } else if (*r->at == '}' || *r->at == ']') {
      if (depth == 0) return 0;
      --depth, ++r->at;
    } else if (depth == 0) {
      while (r->at < r->end && strchr(",}] \t\r\n", *r->at) == NULL) ++r->at;
    } else {
      ++r->at;
    }
  } while (depth > 0);
  return 1;
}

long json_string(const char* json, size_t size, const char* key, char* out, size_t capacity) {
  struct reader r;
  char name[64];
  r.at = json, r.end = json + size;
  skip_space(&r);
  if (r.at >= r.end || *r.at++ != '{') return -1;
  for (;;) {
    long length;
    skip_space(&r);
    length = read_string(&r, name, sizeof name);
    if (length < 0) return -1;
    skip_space(&r);
    if (r.at >= r.end || *r.at++ != ':') return -1;
    skip_space(&r);
    if ((size_t)length == strlen(key) && memcmp(name, key, strlen(key)) == 0)
      return read_string(&r, out, capacity);
    if (!skip_value(&r)) return -1;
    skip_space(&r);
    if (r.at >= r.end || *r.at++ != ',') return -1;
  }
}
