/* Delays each fsync and fdatasync by EDGE_BENCH_FSYNC_MS, like a slow disk; loaded with LD_PRELOAD. */

#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <unistd.h>

static void delay(void) {
    const char *milliseconds = getenv("EDGE_BENCH_FSYNC_MS");
    usleep(milliseconds ? atoi(milliseconds) * 1000 : 0);
}

int fsync(int file) {
    delay();
    return ((int (*)(int))dlsym(RTLD_NEXT, "fsync"))(file);
}

int fdatasync(int file) {
    delay();
    return ((int (*)(int))dlsym(RTLD_NEXT, "fdatasync"))(file);
}
