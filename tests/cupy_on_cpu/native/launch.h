// The argument of each kernel's entry point, with which the device launches the kernel
#pragma once

struct EmuLaunch {
    unsigned grid[3], block[3];
    void **arguments;    // null if only the sizes are needed
    char *shared;        // dynamic shared memory
    int order, fold;     // see Settings in device.h
    const int *sizes;    // out: the bytes of each argument, then -1
    int deadlock;        // out: whether the threads of a block are in a deadlock
};
