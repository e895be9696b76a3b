// How jemalloc, which palyrad is linked with, behaves: memory that is free goes back to the system
// after half a second instead of ten, so that a daemon that has nothing to do is small. Read by
// jemalloc before main(); the environment's MALLOC_CONF is stronger. Source: jemalloc(3), TUNING.
extern "C" {
__attribute__((visibility("default"))) extern const char* malloc_conf;
const char* malloc_conf = "dirty_decay_ms:500,muzzy_decay_ms:0";
}
