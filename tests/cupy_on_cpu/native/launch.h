// How the device starts a kernel: the only argument of each kernel's entry point
#pragma once

struct EmuLaunch {
    unsigned grid[3], block[3];
    void **arguments;    // null where only the sizes are asked for
    char *shared;        // dynamic shared memory
    int order, fold;     // see Settings in device.h
    const int *sizes;    // out: the bytes of each argument, then -1
    int deadlock;        // out: whether the threads of a block wait for each other for ever
};
